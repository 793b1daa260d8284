//! Routers built once: for a call site, and for the backend.
//!
//! In: the arguments a router is made of, and how to make it. Out: the router. Must never: take one
//! router for another, or keep more than [`MAX_KEPT`] of them.
//!
//! A call with constant arguments, the usual one, remembers its router at the call site and looks at
//! nothing else. Otherwise the arguments are compared with those of the last call, and then with those of
//! the routers this backend has used last. Only constants are taken for unchanging: parameters are not,
//! since PL/pgSQL evaluates one call site with changing variables.
#![expect(unsafe_code, reason = "reads the call site that PostgreSQL hands over")]

use std::cell::RefCell;
use std::rc::Rc;

use pgrx::{PgMemoryContexts, pg_sys};

/// Routers that a backend keeps besides those its call sites hold.
const MAX_KEPT: usize = 8;

/// What a router is made of, but for its kind: an array as it is stored, a number and a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arguments<'a> {
    pub(crate) array: &'a [u8],
    pub(crate) number: i32,
    pub(crate) name: &'a [u8],
}

/// Something made of arguments, with a copy of them.
pub(crate) struct Kept<T> {
    value: T,
    array: Box<[u8]>,
    number: i32,
    name: Box<[u8]>,
}

impl<T> Kept<T> {
    fn is_of(&self, arguments: &Arguments<'_>) -> bool {
        self.number == arguments.number && *self.name == *arguments.name && *self.array == *arguments.array
    }
}

/// The routers of one kind that this backend used last, the latest first.
pub(crate) type Latest<T> = RefCell<Vec<Rc<Kept<T>>>>;

/// What a call site remembers.
struct Site<T> {
    kept: Rc<Kept<T>>,
    /// All arguments but the key are constants of the statement.
    is_constant: bool,
}

/// Calls `ask` with the router of these arguments, which `make` makes if nobody has it.
///
/// `arguments` is not called at all when the call site has only ever had constants.
///
/// # Safety
/// `fcinfo` must be that of the running call, and every call with it must have the same `T`.
pub(crate) unsafe fn with_router<'a, T: 'static, R>(
    fcinfo: pg_sys::FunctionCallInfo,
    latest: &'static std::thread::LocalKey<Latest<T>>,
    arguments: impl FnOnce() -> Arguments<'a>,
    make: impl FnOnce() -> T,
    ask: impl FnOnce(&T) -> R,
) -> R {
    // SAFETY: the caller's promise; flinfo may be null when C code calls without one.
    let flinfo = unsafe { (*fcinfo).flinfo };
    if flinfo.is_null() {
        return ask(&find(latest, &arguments(), make).value);
    }
    // SAFETY: as above; fn_extra is null or the site that was put there below, of the same `T`. Nothing
    // else holds a reference to it: `ask` and `make` get none.
    let site = unsafe { (*flinfo).fn_extra.cast::<Site<T>>().as_mut() };
    if let Some(site) = site {
        if !site.is_constant {
            let arguments = arguments();
            if !site.kept.is_of(&arguments) {
                site.kept = find(latest, &arguments, make);
            }
        }
        return ask(&site.kept.value);
    }
    let site = Site {
        kept: find(latest, &arguments(), make),
        // SAFETY: flinfo is the running call's.
        is_constant: unsafe { all_but_first_are_constants(flinfo) },
    };
    // SAFETY: fn_mcxt lives as long as flinfo, so the site is dropped when nobody can call with it again.
    let site = unsafe {
        let site = PgMemoryContexts::For((*flinfo).fn_mcxt).leak_and_drop_on_delete(site);
        (*flinfo).fn_extra = site.cast();
        &*site
    };
    ask(&site.kept.value)
}

fn find<T>(
    latest: &'static std::thread::LocalKey<Latest<T>>,
    arguments: &Arguments<'_>,
    make: impl FnOnce() -> T,
) -> Rc<Kept<T>> {
    let known = latest.with_borrow_mut(|latest| {
        let at = latest.iter().position(|kept| kept.is_of(arguments))?;
        latest[..=at].rotate_right(1);
        Some(latest[0].clone())
    });
    // No borrow is held while the router is made: making it may raise an error.
    known.unwrap_or_else(|| {
        let kept = Rc::new(Kept {
            value: make(),
            array: arguments.array.into(),
            number: arguments.number,
            name: arguments.name.into(),
        });
        latest.with_borrow_mut(|latest| {
            latest.truncate(MAX_KEPT - 1);
            latest.insert(0, kept.clone());
        });
        kept
    })
}

/// Whether the call is written with constants after its first argument.
///
/// # Safety
/// `flinfo` must be that of the running call.
unsafe fn all_but_first_are_constants(flinfo: *mut pg_sys::FmgrInfo) -> bool {
    // SAFETY: fn_expr is null or the node of the call, and nodes begin with their tag; a FuncExpr has a
    // list of nodes as its arguments.
    unsafe {
        let node = (*flinfo).fn_expr.cast::<pg_sys::Node>();
        if node.is_null() || (*node).type_ != pg_sys::NodeTag::T_FuncExpr {
            return false;
        }
        let arguments = (*node.cast::<pg_sys::FuncExpr>()).args;
        if arguments.is_null() {
            return false;
        }
        (1..(*arguments).length as usize).all(|at| {
            let argument = (*(*arguments).elements.add(at)).ptr_value.cast::<pg_sys::Node>();
            (*argument).type_ == pg_sys::NodeTag::T_Const
        })
    }
}
