//! Values between the backend and the text that travels.
//!
//! In: types of columns and parameters, rows of other servers. Out: filled slots, parameters as text.
//! Must never: depend on the session's date or number formats, which the other side does not share.

#![expect(
    unsafe_code,
    reason = "calls the input and output functions of types and fills slots"
)]

use std::ffi::{CStr, CString};

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

use super::state::Shape;
use crate::remote::stream::Fetched;
use crate::versions;

/// How a received column is read, and where it goes.
struct Input {
    attribute: i32,
    function: pg_sys::FmgrInfo,
    parameter: pg_sys::Oid,
    modifier: i32,
    shape: Shape,
}

/// Reads rows into slots. The values live in a context of its own until the next row.
pub(crate) struct RowReader {
    inputs: Vec<Input>,
    context: pg_sys::MemoryContext,
}

impl RowReader {
    /// `columns` are the attributes of `types` in the order in which the other server sends them; 0 and
    /// below are system columns. Lives in the current memory context.
    ///
    /// # Safety
    /// A descriptor of the slot that will be filled.
    pub(crate) unsafe fn new(types: pg_sys::TupleDesc, columns: &[i32]) -> Self {
        let input = |&attribute: &i32| {
            // SAFETY: attributes above 0 are in the descriptor; the function is looked up into memory that
            // lives as long as this.
            unsafe {
                let (type_, modifier) = if attribute > 0 {
                    let column = versions::column(types, attribute as usize - 1);
                    ((*column).atttypid, (*column).atttypmod)
                } else {
                    (pg_sys::TIDOID, -1)
                };
                let (mut function, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                pg_sys::getTypeInputInfo(type_, &mut function, &mut parameter);
                let mut info = pg_sys::FmgrInfo::default();
                pg_sys::fmgr_info(function, &mut info);
                Input {
                    attribute,
                    function: info,
                    parameter,
                    modifier,
                    shape: Shape::Plain,
                }
            }
        };
        // SAFETY: a child of the current context, which frees it.
        let context = unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"atoll row".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        };
        Self {
            inputs: columns.iter().map(input).collect(),
            context,
        }
    }

    /// Reads columns as states of aggregates; `shapes` has a number for each column.
    pub(super) fn with_shapes(mut self, shapes: &[i32]) -> Self {
        for (input, &shape) in self.inputs.iter_mut().zip(shapes) {
            input.shape = Shape::from_number(shape);
        }
        self
    }

    /// Replaces what is in the slot by the row.
    ///
    /// # Safety
    /// A virtual slot with the descriptor given to `new`.
    pub(crate) unsafe fn fill(&mut self, slot: *mut pg_sys::TupleTableSlot, row: &Fetched) {
        // SAFETY: the slot has room for every attribute of the descriptor; the context is this reader's.
        unsafe {
            clear(slot);
            pg_sys::MemoryContextReset(self.context);
            let before = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = self.context;
            let attributes = (*(*slot).tts_tupleDescriptor).natts as usize;
            for n in 0..attributes {
                *(*slot).tts_isnull.add(n) = true;
                *(*slot).tts_values.add(n) = pg_sys::Datum::from(0);
            }
            for (n, input) in self.inputs.iter_mut().enumerate() {
                let value = row.value(n);
                let text = value.map_or(std::ptr::null_mut(), |value| value.as_ptr().cast_mut());
                let state = value.and_then(|value| input.shape.datum(value));
                let datum = state.unwrap_or_else(|| {
                    pg_sys::InputFunctionCall(&mut input.function, text, input.parameter, input.modifier)
                });
                if input.attribute > 0 {
                    let n = input.attribute as usize - 1;
                    *(*slot).tts_values.add(n) = datum;
                    *(*slot).tts_isnull.add(n) = value.is_none();
                } else if value.is_some() {
                    (*slot).tts_tid = *datum.cast_mut_ptr::<pg_sys::ItemPointerData>();
                }
            }
            pg_sys::CurrentMemoryContext = before;
            pg_sys::ExecStoreVirtualTuple(slot);
        }
    }

    /// The row as a heap tuple, for samples; allocated in the current context.
    ///
    /// # Safety
    /// As for `fill`, and `slot` is left empty.
    pub(super) unsafe fn tuple(
        &mut self,
        slot: *mut pg_sys::TupleTableSlot,
        row: &Fetched,
    ) -> pg_sys::HeapTuple {
        // SAFETY: as the caller says.
        unsafe {
            self.fill(slot, row);
            let tuple = pg_sys::heap_form_tuple(
                (*slot).tts_tupleDescriptor,
                (*slot).tts_values,
                (*slot).tts_isnull,
            );
            clear(slot);
            tuple
        }
    }
}

/// Empties a slot.
///
/// # Safety
/// A slot.
pub(crate) unsafe fn clear(slot: *mut pg_sys::TupleTableSlot) {
    // SAFETY: every kind of slot has this function; it may raise, with nothing to drop here.
    unsafe {
        if let Some(clear) = (*(*slot).tts_ops).clear {
            pg_guard_ffi_boundary(|| clear(slot));
        }
    }
}

/// What the text of a type depends on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depends {
    Nothing,
    /// Settings of dates, intervals and numbers.
    Styles,
    /// Also on which schemas are searched, or on what nobody here knows.
    Anything,
}

impl Depends {
    fn of(type_: pg_sys::Oid) -> Self {
        match type_ {
            pg_sys::INT2OID
            | pg_sys::INT4OID
            | pg_sys::INT8OID
            | pg_sys::NUMERICOID
            | pg_sys::BOOLOID
            | pg_sys::TEXTOID
            | pg_sys::VARCHAROID
            | pg_sys::BPCHAROID
            | pg_sys::UUIDOID
            | pg_sys::BYTEAOID
            | pg_sys::JSONOID
            | pg_sys::JSONBOID
            | pg_sys::INT4ARRAYOID
            | pg_sys::INT8ARRAYOID
            | pg_sys::TEXTARRAYOID
            | pg_sys::TIDOID => Self::Nothing,
            pg_sys::DATEOID
            | pg_sys::TIMEOID
            | pg_sys::TIMETZOID
            | pg_sys::TIMESTAMPOID
            | pg_sys::TIMESTAMPTZOID
            | pg_sys::INTERVALOID
            | pg_sys::FLOAT4OID
            | pg_sys::FLOAT8OID => Self::Styles,
            _ => Self::Anything,
        }
    }

    /// True when the session's settings give text that another server reads as the same value.
    fn is_met(self) -> bool {
        match self {
            Self::Nothing => true,
            // SAFETY: reads settings of the session.
            Self::Styles => unsafe {
                pg_sys::DateStyle == pg_sys::USE_ISO_DATES as i32
                    && pg_sys::IntervalStyle == pg_sys::INTSTYLE_POSTGRES as i32
                    && pg_sys::extra_float_digits >= 1
            },
            Self::Anything => false,
        }
    }
}

/// Writes values of some types as text.
pub(crate) struct Outputs {
    functions: Vec<pg_sys::FmgrInfo>,
    depends: Depends,
}

impl Outputs {
    /// For values of these types in this order. Lives in the current memory context.
    pub(crate) fn new(types: &[pg_sys::Oid]) -> Self {
        let function = |&type_: &pg_sys::Oid| {
            // SAFETY: types of columns and expressions exist.
            unsafe {
                let (mut output, mut varlena) = (pg_sys::InvalidOid, false);
                pg_sys::getTypeOutputInfo(type_, &mut output, &mut varlena);
                let mut info = pg_sys::FmgrInfo::default();
                pg_sys::fmgr_info(output, &mut info);
                info
            }
        };
        let depends = types.iter().map(|&type_| Depends::of(type_)).max();
        Self {
            functions: types.iter().map(function).collect(),
            depends: depends.unwrap_or(Depends::Nothing),
        }
    }

    /// The values as text, one after the other.
    pub(super) fn each(
        &mut self,
        values: impl Iterator<Item = Option<pg_sys::Datum>>,
        mut take: impl FnMut(Option<&CStr>),
    ) {
        let _formats = (!self.depends.is_met()).then(Formats::new);
        for (function, value) in self.functions.iter_mut().zip(values) {
            let Some(value) = value else {
                take(None);
                continue;
            };
            // SAFETY: a value of the type that the function belongs to; its text ends with a zero.
            unsafe {
                let text = pg_sys::OutputFunctionCall(function, value);
                take(Some(CStr::from_ptr(text)));
                pg_sys::pfree(text.cast());
            }
        }
    }

    /// The values as parameters.
    pub(crate) fn texts(
        &mut self,
        values: impl Iterator<Item = Option<pg_sys::Datum>>,
        into: &mut Vec<Option<CString>>,
    ) {
        self.each(values, |text| into.push(text.map(CStr::to_owned)));
    }
}

/// Formats that every server reads alike, until dropped.
pub(super) struct Formats(i32);

impl Formats {
    pub(super) fn new() -> Self {
        // SAFETY: sets settings of the session for a nesting level that `drop` ends; the end of a
        // transaction ends it as well.
        unsafe {
            let level = pg_sys::NewGUCNestLevel();
            for (name, value) in [
                (c"datestyle", c"ISO"),
                (c"intervalstyle", c"postgres"),
                (c"extra_float_digits", c"3"),
                (c"search_path", c"pg_catalog"),
            ] {
                pg_sys::set_config_option(
                    name.as_ptr(),
                    value.as_ptr(),
                    pg_sys::GucContext::PGC_USERSET,
                    pg_sys::GucSource::PGC_S_SESSION,
                    pg_sys::GucAction::GUC_ACTION_SAVE,
                    true,
                    0,
                    false,
                );
            }
            Self(level)
        }
    }
}

impl Drop for Formats {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the level begun in `new`. While an error unwinds, the transaction's abort does this.
            unsafe { pg_sys::AtEOXact_GUC(true, self.0) };
        }
    }
}
