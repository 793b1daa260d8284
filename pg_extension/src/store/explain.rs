//! EXPLAIN: what of a query's conditions the store's key index answers.
//!
//! In: a plan. Out: lines of EXPLAIN. Must never: open a store.

#![expect(unsafe_code, reason = "prints expressions of a plan")]

use std::ffi::{CStr, CString};

use pgrx::pg_guard;
use pgrx::prelude::*;

use super::plan::Operator;
use super::shape::Shape;
use crate::fdw::list;

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn scan(
    node: *mut pg_sys::ForeignScanState,
    es: *mut pg_sys::ExplainState,
) {
    // SAFETY: PostgreSQL's own arguments; texts are copied.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::ForeignScan>();
        let private = list::integers((*plan).fdw_private);
        let clauses = list::pointers::<pg_sys::Node>((*plan).fdw_recheck_quals);
        let shape = Shape::of_relation((*node).ss.ss_currentRelation);
        let operators = &private[2..2 + clauses.len()];
        let looks_up = operators
            .iter()
            .any(|operator| Operator::of(*operator).is_some_and(Operator::is_equality))
            && (shape.key.len() == 1 || operators.len() == shape.key.len());
        let how = match (clauses.is_empty(), looks_up, private[0] != 0) {
            (false, true, _) => "look-up",
            (false, false, false) => "range",
            (false, false, true) => "range, backward",
            (true, _, false) => "all",
            (true, _, true) => "all, backward",
        };
        pg_sys::ExplainPropertyText(
            c"Keys".as_ptr(),
            CString::new(how).unwrap_or_default().as_ptr(),
            es,
        );
        if clauses.is_empty() {
            return;
        }
        let context = pg_sys::set_deparse_context_plan((*es).deparse_cxt, plan.cast(), std::ptr::null_mut());
        let many = list::len((*es).rtable) > 1 || (*es).verbose;
        let texts: Vec<_> = clauses
            .into_iter()
            .map(|clause| {
                let text = pg_sys::deparse_expression(clause, context, many, false);
                CStr::from_ptr(text).to_string_lossy().into_owned()
            })
            .collect();
        let text = CString::new(texts.join(" AND ")).unwrap_or_default();
        pg_sys::ExplainPropertyText(c"Key Cond".as_ptr(), text.as_ptr(), es);
    }
}
