//! What a statement computes here and sends as parameters, and whether the rest means the same on a node.
//!
//! In: a statement. Out: the statement with parameters in place of the client's own parameters and of everything
//! that depends on this session, such as `now()`, and the expressions of those parameters. Must never: send what a
//! node may compute differently: functions, operators and types of this database, or what is not immutable.

#![expect(unsafe_code, reason = "walks PostgreSQL's expression trees")]

use std::ffi::c_void;

use pgrx::pg_guard;
use pgrx::prelude::*;

use super::{copy, node, tag};
use crate::fdw::list;
use crate::versions;

type Walker = unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> bool;

/// Objects below this number are the same in every database.
pub(super) fn is_builtin(object: pg_sys::Oid) -> bool {
    u32::from(object) < pg_sys::FirstGenbkiObjectId
}

/// Types whose values name objects of one database.
fn names_objects(type_: pg_sys::Oid) -> bool {
    matches!(
        type_,
        pg_sys::REGPROCOID
            | pg_sys::REGPROCEDUREOID
            | pg_sys::REGOPEROID
            | pg_sys::REGOPERATOROID
            | pg_sys::REGCLASSOID
            | pg_sys::REGTYPEOID
            | pg_sys::REGCONFIGOID
            | pg_sys::REGDICTIONARYOID
            | pg_sys::REGNAMESPACEOID
            | pg_sys::REGROLEOID
            | pg_sys::REGCOLLATIONOID
    )
}

fn is_plain_type(type_: pg_sys::Oid) -> bool {
    is_builtin(type_) && !names_objects(type_) && type_ != pg_sys::UNKNOWNOID
}

#[pg_guard]
unsafe extern "C-unwind" fn depends_on_rows(at: *mut pg_sys::Node, context: *mut c_void) -> bool {
    use pg_sys::NodeTag as T;
    if at.is_null() {
        return false;
    }
    // SAFETY: a node of an expression, or a query below one.
    unsafe {
        match tag(at) {
            T::T_Var
            | T::T_Aggref
            | T::T_GroupingFunc
            | T::T_WindowFunc
            | T::T_SubLink
            | T::T_Query
            | T::T_CaseTestExpr
            | T::T_CoerceToDomainValue
            | T::T_SetToDefault
            | T::T_CurrentOfExpr => true,
            T::T_Param if (*at.cast::<pg_sys::Param>()).paramkind != pg_sys::ParamKind::PARAM_EXTERN => true,
            T::T_FuncExpr if (*at.cast::<pg_sys::FuncExpr>()).funcretset => true,
            T::T_OpExpr if (*at.cast::<pg_sys::OpExpr>()).opretset => true,
            _ => pg_sys::expression_tree_walker(at, Some(depends_on_rows as Walker), context),
        }
    }
}

/// True if an expression has one value for the whole statement, which this server can compute.
///
/// # Safety
/// An expression.
pub(super) unsafe fn is_local(expression: *mut pg_sys::Node) -> bool {
    // SAFETY: as the caller says.
    unsafe { !depends_on_rows(expression, std::ptr::null_mut()) }
}

/// The same, and computing it twice gives the same.
///
/// # Safety
/// An expression.
pub(super) unsafe fn is_steady(expression: *mut pg_sys::Node) -> bool {
    // SAFETY: as the caller says.
    unsafe { is_local(expression) && !pg_sys::contain_volatile_functions(expression) }
}

/// The parameters of a statement on a node.
#[derive(Default)]
pub(super) struct Values {
    pub(super) expressions: Vec<*mut pg_sys::Expr>,
    /// Below CASE and its like, what may not be reached must not be computed.
    guarded: u32,
}

impl Values {
    /// A parameter with this value.
    ///
    /// # Safety
    /// A local expression.
    pub(super) unsafe fn parameter(
        &mut self,
        expression: *mut pg_sys::Node,
        reuse: bool,
    ) -> *mut pg_sys::Expr {
        // SAFETY: as the caller says; nodes are made in the current context.
        unsafe {
            let known = self
                .expressions
                .iter()
                .position(|&known| reuse && pg_sys::equal(known.cast(), expression.cast()));
            let at = known.unwrap_or_else(|| {
                self.expressions.push(copy(expression).cast());
                self.expressions.len() - 1
            });
            let made = node::<pg_sys::Param>(pg_sys::NodeTag::T_Param);
            (*made).paramkind = pg_sys::ParamKind::PARAM_EXTERN;
            (*made).paramid = at as i32 + 1;
            (*made).paramtype = pg_sys::exprType(expression);
            (*made).paramtypmod = pg_sys::exprTypmod(expression);
            (*made).paramcollid = pg_sys::exprCollation(expression);
            (*made).location = -1;
            made.cast()
        }
    }

    /// A copy of a statement in which everything that belongs to this session is a parameter.
    ///
    /// # Safety
    /// A statement, which stays as it is.
    pub(super) unsafe fn extract(&mut self, query: *mut pg_sys::Query) -> *mut pg_sys::Query {
        // SAFETY: as the caller says; the mutator takes this as its context.
        unsafe { versions::query_tree_mutator(query, mutate, std::ptr::from_mut(self).cast(), 0) }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn mutate(at: *mut pg_sys::Node, context: *mut c_void) -> *mut pg_sys::Node {
    use pg_sys::NodeTag as T;
    if at.is_null() {
        return at;
    }
    // SAFETY: the context is that of `extract`; nothing keeps another reference to it while this runs.
    unsafe {
        let values = context.cast::<Values>();
        let kind = tag(at);
        match kind {
            T::T_Query => {
                return versions::query_tree_mutator(at.cast(), mutate, context, 0).cast();
            }
            T::T_Param if (*at.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXTERN => {
                return (*values).parameter(at, true).cast();
            }
            // Never fails.
            T::T_SQLValueFunction => return (*values).parameter(at, true).cast(),
            T::T_FuncExpr | T::T_OpExpr | T::T_CoerceViaIO | T::T_ScalarArrayOpExpr | T::T_RelabelType => {
                let never_fails = kind == T::T_FuncExpr && (*at.cast::<pg_sys::FuncExpr>()).args.is_null();
                if ((*values).guarded == 0 || never_fails)
                    && pg_sys::contain_mutable_functions(at)
                    && is_steady(at)
                {
                    return (*values).parameter(at, true).cast();
                }
            }
            _ => {}
        }
        let guards = matches!(
            kind,
            T::T_CaseExpr | T::T_CoalesceExpr | T::T_BoolExpr | T::T_NullIfExpr
        ) && !is_conjunction(at);
        (*values).guarded += u32::from(guards);
        let made = versions::expression_tree_mutator(at, mutate, context);
        (*values).guarded -= u32::from(guards);
        made
    }
}

/// Conditions joined by AND may be computed in any order.
unsafe fn is_conjunction(at: *mut pg_sys::Node) -> bool {
    // SAFETY: the tag says what it is.
    unsafe {
        tag(at) == pg_sys::NodeTag::T_BoolExpr
            && (*at.cast::<pg_sys::BoolExpr>()).boolop == pg_sys::BoolExprType::AND_EXPR
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn is_foreign(at: *mut pg_sys::Node, context: *mut c_void) -> bool {
    use pg_sys::NodeTag as T;
    if at.is_null() {
        return false;
    }
    // SAFETY: the tag says which node it is.
    unsafe {
        let knows = match tag(at) {
            T::T_Query => {
                let flags = pg_sys::QTW_EXAMINE_SORTGROUP as i32;
                return pg_sys::query_tree_walker(at.cast(), Some(is_foreign as Walker), context, flags);
            }
            // System columns and whole rows are not those of the table here.
            T::T_Var => (*at.cast::<pg_sys::Var>()).varattno > 0,
            T::T_Const => {
                is_plain_type((*at.cast::<pg_sys::Const>()).consttype)
                    && is_builtin((*at.cast::<pg_sys::Const>()).constcollid)
            }
            // The types of those that go into columns are the columns'.
            T::T_Param => {
                let parameter = at.cast::<pg_sys::Param>();
                is_plain_type((*parameter).paramtype)
                    || !context.is_null() && is_target(context.cast(), parameter)
            }
            T::T_FuncExpr => is_builtin((*at.cast::<pg_sys::FuncExpr>()).funcid),
            T::T_Aggref => is_builtin((*at.cast::<pg_sys::Aggref>()).aggfnoid),
            T::T_WindowFunc => is_builtin((*at.cast::<pg_sys::WindowFunc>()).winfnoid),
            T::T_OpExpr | T::T_DistinctExpr | T::T_NullIfExpr => {
                is_builtin((*at.cast::<pg_sys::OpExpr>()).opno)
            }
            T::T_ScalarArrayOpExpr => is_builtin((*at.cast::<pg_sys::ScalarArrayOpExpr>()).opno),
            T::T_SortGroupClause => {
                let clause = at.cast::<pg_sys::SortGroupClause>();
                is_builtin((*clause).eqop) && is_builtin((*clause).sortop)
            }
            #[cfg(any(feature = "pg17", feature = "pg18"))]
            T::T_MergeSupportFunc => true,
            T::T_CollateExpr => is_builtin((*at.cast::<pg_sys::CollateExpr>()).collOid),
            T::T_InferenceElem => {
                let element = at.cast::<pg_sys::InferenceElem>();
                is_builtin((*element).infercollid) && is_builtin((*element).inferopclass)
            }
            T::T_RelabelType
            | T::T_CoerceViaIO
            | T::T_ArrayCoerceExpr
            | T::T_CaseExpr
            | T::T_CoalesceExpr
            | T::T_MinMaxExpr
            | T::T_ArrayExpr
            | T::T_SubscriptingRef => is_plain_type(pg_sys::exprType(at)),
            T::T_BoolExpr
            | T::T_NullTest
            | T::T_BooleanTest
            | T::T_CaseWhen
            | T::T_CaseTestExpr
            | T::T_NamedArgExpr
            | T::T_GroupingFunc
            | T::T_GroupingSet
            | T::T_WindowClause
            | T::T_TargetEntry
            | T::T_FromExpr
            | T::T_JoinExpr
            | T::T_RangeTblRef
            | T::T_RangeTblEntry
            | T::T_OnConflictExpr
            | T::T_MergeAction
            | T::T_List => true,
            _ => false,
        };
        !knows || pg_sys::expression_tree_walker(at, Some(is_foreign as Walker), context)
    }
}

/// True if a parameter is what an INSERT puts into a column.
unsafe fn is_target(insert: *const pg_sys::Query, parameter: *const pg_sys::Param) -> bool {
    // SAFETY: the statement's list of target entries.
    unsafe {
        list::pointers::<pg_sys::TargetEntry>((*insert).targetList)
            .into_iter()
            .any(|entry| (*entry).expr.cast_const().cast() == parameter)
    }
}

/// True if a node does with a statement what this server would do.
///
/// # Safety
/// A statement of `Values::extract`.
pub(super) unsafe fn travels(query: *mut pg_sys::Query) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        let is_insert = (*query).commandType == pg_sys::CmdType::CMD_INSERT;
        let context = if is_insert {
            query.cast()
        } else {
            std::ptr::null_mut()
        };
        !pg_sys::contain_mutable_functions(query.cast()) && !is_foreign(query.cast(), context)
    }
}
