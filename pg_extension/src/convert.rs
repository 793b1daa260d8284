//! Arguments and results of SQL functions as bytes.
//!
//! In: datums. Out: borrowed bytes, text as UTF-8 whatever the server's encoding, and datums made of them.
//! Must never: copy a value that lies in plain sight, nor hold a borrow longer than the call it came with.
//!
//! pgrx's own `&str` and `&[u8]` go through PostgreSQL for every value. A hash of a short key takes a few
//! nanoseconds, so values that are neither compressed nor stored out of line are borrowed here where they
//! stand.
#![expect(
    unsafe_code,
    reason = "reads varlenas through the pointers PostgreSQL hands over"
)]

use std::cell::Cell;
use std::marker::PhantomData;

use pgrx::datum::{Datum, UnboxDatum};
use pgrx::pg_sys::{self, pg_enc};
use pgrx::varlena::{varatt_is_1b, varatt_is_1b_e, varatt_is_4b_u, varlena_to_byte_slice};
use pgrx::{FromDatum, IntoDatum, PgSqlErrorCode, impl_sql_translatable};

use crate::error::raise;

/// The contents of a varlena, borrowed for the length of the call.
///
/// # Safety
/// `datum` must be a non-null varlena. A value that has to be fetched or decompressed is put into the
/// current memory context, which must outlive `'a`.
unsafe fn contents<'a>(datum: pg_sys::Datum) -> &'a [u8] {
    let varlena = datum.cast_mut_ptr::<pg_sys::varlena>();
    // SAFETY: the caller says that this is a varlena, so its header can be read; what stands in plain
    // sight is read in place, anything else after PostgreSQL has made it so.
    unsafe {
        let plain = varatt_is_4b_u(varlena) || (varatt_is_1b(varlena) && !varatt_is_1b_e(varlena));
        let varlena = if plain {
            varlena
        } else {
            pg_sys::pg_detoast_datum_packed(varlena)
        };
        varlena_to_byte_slice(varlena)
    }
}

/// The contents of a varlena that an argument or a result of the running call is.
pub(crate) fn varlena_bytes(datum: &pg_sys::Datum) -> &[u8] {
    // SAFETY: callers are types that wrap nothing but non-null varlenas of the running call.
    unsafe { contents(*datum) }
}

/// An argument of type `bytea`.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

/// An argument of type `text`: its UTF-8 bytes.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a>(pub(crate) &'a [u8]);

impl Text<'_> {
    /// The text. Bytes that are no UTF-8 cannot reach this place: the server has checked or converted them.
    pub(crate) fn as_str(&self) -> &str {
        match std::str::from_utf8(self.0) {
            Ok(text) => text,
            Err(error) => raise(
                PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
                format!("text is not UTF-8 at byte {}", error.valid_up_to()),
            ),
        }
    }
}

/// The database's encoding. It cannot change while a backend lives, and asking costs more than hashing.
fn server_encoding() -> u32 {
    const UNKNOWN: u32 = u32::MAX;
    thread_local! {
        static ENCODING: Cell<u32> = const { Cell::new(UNKNOWN) };
    }
    let known = ENCODING.get();
    if known != UNKNOWN {
        return known;
    }
    // SAFETY: reads a variable of this backend.
    let found = unsafe { pg_sys::GetDatabaseEncoding() } as u32;
    ENCODING.set(found);
    found
}

/// Whether text needs no conversion.
pub(crate) fn server_is_utf8() -> bool {
    server_encoding() == pg_enc::PG_UTF8
}

/// Text of the server as UTF-8. A database in SQL_ASCII does not know its encoding: there the bytes are
/// taken for UTF-8 and refused if they are not.
pub(crate) fn to_utf8(bytes: &[u8]) -> &[u8] {
    if server_is_utf8() {
        return bytes;
    }
    convert(bytes, |bytes, len| {
        // SAFETY: `bytes` has `len` readable bytes; the result is that pointer itself or a terminated string.
        unsafe { pg_sys::pg_server_to_any(bytes, len, pg_enc::PG_UTF8 as i32) }
    })
}

/// UTF-8 as text of the server; raises an error for characters that its encoding does not have.
pub(crate) fn to_server(bytes: &[u8]) -> &[u8] {
    if server_is_utf8() {
        return bytes;
    }
    convert(bytes, |bytes, len| {
        // SAFETY: as in `to_utf8`.
        unsafe { pg_sys::pg_any_to_server(bytes, len, pg_enc::PG_UTF8 as i32) }
    })
}

fn convert(bytes: &[u8], conversion: impl FnOnce(*const i8, i32) -> *mut i8) -> &[u8] {
    let len = i32::try_from(bytes.len()).expect("a value of PostgreSQL is smaller than 1 GB");
    let converted = conversion(bytes.as_ptr().cast(), len);
    if converted.cast_const().cast() == bytes.as_ptr() {
        return bytes;
    }
    // SAFETY: a conversion that gives another pointer gives a terminated string, allocated in the current
    // memory context; callers keep it no longer than the call.
    unsafe { std::ffi::CStr::from_ptr(converted) }.to_bytes()
}

impl FromDatum for Bytes<'_> {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _type: pg_sys::Oid,
    ) -> Option<Self> {
        // SAFETY: the SQL declaration gives this argument the type bytea, a varlena.
        (!is_null).then(|| Bytes(unsafe { contents(datum) }))
    }
}

impl FromDatum for Text<'_> {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _type: pg_sys::Oid,
    ) -> Option<Self> {
        // SAFETY: the SQL declaration gives this argument the type text, a varlena.
        (!is_null).then(|| Text(to_utf8(unsafe { contents(datum) })))
    }
}

// SAFETY: the result borrows from the datum, as the lifetime of the associated type says.
unsafe impl UnboxDatum for Bytes<'_> {
    type As<'src>
        = Bytes<'src>
    where
        Self: 'src;
    unsafe fn unbox<'src>(datum: Datum<'src>) -> Bytes<'src>
    where
        Self: 'src,
    {
        // SAFETY: elements of a bytea array are varlenas.
        Bytes(unsafe { contents(datum.sans_lifetime()) })
    }
}

// SAFETY: the result borrows from the datum, as the lifetime of the associated type says.
unsafe impl UnboxDatum for Text<'_> {
    type As<'src>
        = Text<'src>
    where
        Self: 'src;
    unsafe fn unbox<'src>(datum: Datum<'src>) -> Text<'src>
    where
        Self: 'src,
    {
        // SAFETY: elements of a text array are varlenas.
        Text(to_utf8(unsafe { contents(datum.sans_lifetime()) }))
    }
}

impl_sql_translatable!(Bytes<'_>, "bytea");
impl_sql_translatable!(Text<'_>, "text");

/// An array argument that is looked at only when somebody has to: a call that finds its router in the
/// cache never does.
#[derive(Clone, Copy)]
pub(crate) struct ArrayOf<T>(pg_sys::Datum, PhantomData<T>);

impl<T> ArrayOf<T> {
    /// The array as PostgreSQL stores it, without its length: equal bytes are equal arrays.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: an array is a varlena, and this value does not outlive the call it was an argument of.
        unsafe { contents(self.0) }
    }
}

impl<T: UnboxDatum> ArrayOf<T> {
    /// Calls `each` for every element; NULL elements and arrays of more than one dimension are refused,
    /// `what` being their name in the message.
    pub(crate) fn for_each(&self, what: &str, mut each: impl FnMut(T::As<'_>)) {
        // SAFETY: the SQL declaration gives this argument the array type of `T`.
        let array = unsafe { pgrx::Array::<T>::from_datum(self.0, false) };
        let Some(array) = array else { return };
        if dimensions(self.bytes()) > 1 {
            raise(
                PgSqlErrorCode::ERRCODE_ARRAY_ELEMENT_ERROR,
                format!("{what} must be an array of one dimension"),
            );
        }
        for element in array.iter() {
            match element {
                Some(element) => each(element),
                None => raise(
                    PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                    format!("{what} must not hold NULL"),
                ),
            }
        }
    }
}

/// Number of dimensions, the first field of a stored array after its length.
fn dimensions(array: &[u8]) -> i32 {
    array.first_chunk().map_or(0, |field| i32::from_ne_bytes(*field))
}

impl<T> FromDatum for ArrayOf<T> {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _type: pg_sys::Oid,
    ) -> Option<Self> {
        (!is_null).then_some(ArrayOf(datum, PhantomData))
    }
}

impl_sql_translatable!(ArrayOf<Bytes<'_>>, "bytea[]");
impl_sql_translatable!(ArrayOf<Text<'_>>, "text[]");
impl_sql_translatable!(ArrayOf<i16>, "int2[]");
impl_sql_translatable!(ArrayOf<i32>, "int4[]");
impl_sql_translatable!(ArrayOf<i64>, "int8[]");
impl_sql_translatable!(ArrayOf<pgrx::Uuid>, "uuid[]");

/// Lets a type be an argument, by way of its `FromDatum`.
macro_rules! argument {
    ($type:ty $(, $parameter:ident)?) => {
        // SAFETY: the type named in SQL is the one that `FromDatum` reads.
        unsafe impl<'fcx $(, $parameter)?> pgrx::callconv::ArgAbi<'fcx> for $type {
            unsafe fn unbox_arg_unchecked(argument: pgrx::callconv::Arg<'_, 'fcx>) -> Self {
                // SAFETY: the caller's.
                let value = unsafe { argument.unbox_arg_using_from_datum() };
                value.expect("NULL reaches only arguments that are optional")
            }
        }
    };
}
pub(crate) use argument;

/// Lets a type be a result, by way of its `IntoDatum`.
macro_rules! result {
    ($type:ty) => {
        // SAFETY: the datum is of the type that SQL declares, and was made in the caller's memory context.
        unsafe impl pgrx::callconv::BoxRet for $type {
            unsafe fn box_into<'fcx>(
                self,
                fcinfo: &mut pgrx::callconv::FcInfo<'fcx>,
            ) -> pgrx::datum::Datum<'fcx> {
                match pgrx::IntoDatum::into_datum(self) {
                    // SAFETY: as above.
                    Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
                    None => fcinfo.return_null(),
                }
            }
        }
    };
}
pub(crate) use result;

argument!(Bytes<'fcx>);
argument!(Text<'fcx>);
argument!(ArrayOf<T>, T);

/// A result of type `text`, in the server's encoding.
pub(crate) struct ServerText(pg_sys::Datum);

impl ServerText {
    /// Puts UTF-8 text into the current memory context, which must be that of the call.
    pub(crate) fn new(text: &str) -> ServerText {
        let datum = to_server(text.as_bytes()).into_datum();
        ServerText(datum.expect("bytes are never NULL"))
    }
}

impl IntoDatum for ServerText {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(self.0)
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::TEXTOID
    }
}

impl_sql_translatable!(ServerText, "text");

result!(ServerText);

/// A value of type `jsonb`, as its text.
///
/// pgrx's own type goes through numbers of 64 bits; the text keeps every digit.
pub(crate) struct JsonText(pg_sys::Datum);

impl JsonText {
    /// Reads JSON into the current memory context; the text must be valid.
    pub(crate) fn new(json: &str) -> JsonText {
        let text = std::ffi::CString::new(to_server(json.as_bytes())).expect("JSON holds no NUL");
        // SAFETY: jsonb_in takes one terminated string, which outlives the call.
        let value =
            unsafe { pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(text.as_ptr().into())]) };
        JsonText(value.expect("valid JSON is never NULL"))
    }

    /// The text, in the spelling of PostgreSQL.
    pub(crate) fn as_str(&self) -> &str {
        // SAFETY: jsonb_out takes one jsonb, which this is, and gives a terminated string in the current
        // memory context, where it stays for the length of the call.
        let text = unsafe {
            let text = pgrx::direct_function_call_as_datum(pg_sys::jsonb_out, &[Some(self.0)]);
            let text = text.expect("the text of a value is never NULL");
            std::ffi::CStr::from_ptr(text.cast_mut_ptr())
        };
        std::str::from_utf8(to_utf8(text.to_bytes())).expect("the server checks or converts its text")
    }
}

impl FromDatum for JsonText {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _type: pg_sys::Oid,
    ) -> Option<Self> {
        (!is_null).then_some(JsonText(datum))
    }
}

impl IntoDatum for JsonText {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(self.0)
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

// SAFETY: the datum is used within the call whose argument the array is.
unsafe impl UnboxDatum for JsonText {
    type As<'src> = JsonText;
    unsafe fn unbox<'src>(datum: Datum<'src>) -> JsonText
    where
        Self: 'src,
    {
        JsonText(datum.sans_lifetime())
    }
}

impl_sql_translatable!(JsonText, "jsonb");
argument!(JsonText);
result!(JsonText);
