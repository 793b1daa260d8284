//! Partial aggregates: each slot groups its own rows where they lie, and the groups are combined here.
//!
//! In: a slot's relation or colocated join, and the partial aggregates that PostgreSQL's planner wants of it.
//! Out: a path whose statement computes their states on the node. Must never: offer one for an aggregate whose
//! state cannot be made of aggregates that every server has.
//!
//! PostgreSQL's planner does the rest, when `partitionwise.rs` has switched it on: an Append of these paths below
//! an aggregate that finalizes, which also looks at HAVING. postgres_fdw refuses partial aggregates, so it is asked
//! for the whole ones that make up the states (`avg` is `sum` and `count`), and its statement is wrapped in one that
//! puts them together. `state.rs` says how a state travels.

#![expect(
    unsafe_code,
    reason = "reads the planner's state and makes paths and plans of it"
)]

use std::ffi::CString;

use pgrx::pg_guard;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;

use super::state::Shape;
use super::{base, list};

/// What one row more or less on its way costs, as postgres_fdw has it.
pub(super) const TRANSFER: f64 = 0.01;

/// A column that the planner wants, and what the node has to compute for it.
struct Wanted {
    shape: Shape,
    parts: Vec<*mut pg_sys::Expr>,
}

/// Replaces postgres_fdw's `GetForeignUpperPaths`.
///
/// # Safety
/// Called by the planner.
#[pg_guard]
pub(super) unsafe extern "C-unwind" fn upper_paths(
    root: *mut pg_sys::PlannerInfo,
    stage: pg_sys::UpperRelationKind::Type,
    input: *mut pg_sys::RelOptInfo,
    output: *mut pg_sys::RelOptInfo,
    extra: *mut std::ffi::c_void,
) {
    let callback = base()
        .GetForeignUpperPaths
        .expect("postgres_fdw plans aggregates");
    // SAFETY: arguments as the planner gave them.
    unsafe {
        match stage {
            pg_sys::UpperRelationKind::UPPERREL_PARTIAL_GROUP_AGG => {
                if let Some(path) = partial_path(root, input, output, extra.cast()) {
                    pg_sys::add_path(output, path.cast());
                }
            }
            pg_sys::UpperRelationKind::UPPERREL_GROUP_AGG => {
                if !may_leave(root) {
                    return;
                }
                // Its estimate of a join below counts every pair of rows.
                let before = std::mem::replace(&mut (*output).pathlist, std::ptr::null_mut());
                pg_guard_ffi_boundary(|| callback(root, stage, input, output, extra));
                let added = std::mem::replace(&mut (*output).pathlist, before);
                for path in list::pointers::<pg_sys::Path>(added) {
                    set_cost(path, input);
                    pg_sys::add_path(output, path);
                }
            }
            _ => pg_guard_ffi_boundary(|| callback(root, stage, input, output, extra)),
        }
    }
}

/// Whether conditions of this query may be looked at on a node together with others. Conditions of row security
/// and of barrier views have an order; conditions without columns are looked at once, here.
///
/// # Safety
/// The planner's state.
pub(super) unsafe fn may_leave(root: *const pg_sys::PlannerInfo) -> bool {
    // SAFETY: as the caller says.
    unsafe { (*root).qual_security_level == 0 && !(*root).hasPseudoConstantQuals }
}

/// The rows of `input` are read as before, but fewer of them travel.
unsafe fn set_cost(path: *mut pg_sys::Path, input: *const pg_sys::RelOptInfo) {
    // SAFETY: a path, and a relation whose paths are made.
    unsafe {
        let below = (*input).cheapest_total_path;
        if below.is_null() {
            return;
        }
        // Grouping is work for another machine.
        let spared = ((*below).rows - (*path).rows).max(0.0) * TRANSFER;
        (*path).startup_cost = (*below).startup_cost;
        (*path).total_cost = ((*below).total_cost - spared).max((*below).startup_cost);
    }
}

unsafe fn partial_path(
    root: *mut pg_sys::PlannerInfo,
    input: *mut pg_sys::RelOptInfo,
    output: *mut pg_sys::RelOptInfo,
    extra: *const pg_sys::GroupPathExtraData,
) -> Option<*mut pg_sys::ForeignPath> {
    let callback = base().GetForeignUpperPaths?;
    // SAFETY: the planner's structures; copies of them live as long as planning does.
    unsafe {
        if !may_leave(root) || (*input).cheapest_total_path.is_null() {
            return None;
        }
        let target = (*output).reltarget;
        let whole = pg_sys::create_empty_pathtarget();
        let columns = list::pointers::<pg_sys::Expr>((*target).exprs);
        if columns.is_empty() {
            return None;
        }
        for (n, &column) in columns.iter().enumerate() {
            let group = if (*target).sortgrouprefs.is_null() {
                0
            } else {
                *(*target).sortgrouprefs.add(n)
            };
            for part in wanted(column)?.parts {
                pg_sys::add_column_to_pathtarget(whole, part, group);
            }
        }
        add_redundant_groups(root, input, whole);
        (*whole).width = (*target).width;
        let asked = pg_sys::palloc(size_of::<pg_sys::RelOptInfo>()).cast::<pg_sys::RelOptInfo>();
        *asked = *output;
        (*asked).reltarget = whole;
        (*asked).pathlist = std::ptr::null_mut();
        (*asked).fdw_private = std::ptr::null_mut();
        let mut groups = *extra;
        // HAVING is looked at when groups are whole.
        groups.havingQual = std::ptr::null_mut();
        groups.patype = pg_sys::PartitionwiseAggregateType::PARTITIONWISE_AGGREGATE_FULL;
        let stage = pg_sys::UpperRelationKind::UPPERREL_GROUP_AGG;
        let groups = (&raw mut groups).cast();
        pg_guard_ffi_boundary(|| callback(root, stage, input, asked, groups));
        let found = list::pointers::<pg_sys::ForeignPath>((*asked).pathlist);
        let found = *found.first()?;
        let path = pg_sys::palloc(size_of::<pg_sys::ForeignPath>()).cast::<pg_sys::ForeignPath>();
        *path = *found;
        (*path).path.parent = output;
        (*path).path.pathtarget = target;
        (*path).path.parallel_safe = false;
        set_cost(path.cast(), input);
        (*path).fdw_private = pg_sys::lappend(std::ptr::null_mut(), found.cast());
        Some(path)
    }
}

/// Adds the expressions of GROUP BY that the planner has left out because they have one value only: postgres_fdw
/// writes GROUP BY as the query has it.
unsafe fn add_redundant_groups(
    root: *mut pg_sys::PlannerInfo,
    input: *const pg_sys::RelOptInfo,
    whole: *mut pg_sys::PathTarget,
) {
    // SAFETY: the planner's structures; the part's relations are children of the query's.
    unsafe {
        let known = list::len((*whole).exprs);
        for group in list::pointers::<pg_sys::SortGroupClause>((*(*root).parse).groupClause) {
            let number = (*group).tleSortGroupRef;
            let references = (*whole).sortgrouprefs;
            if !references.is_null() && (0..known).any(|n| *references.add(n) == number) {
                continue;
            }
            let entry = pg_sys::get_sortgroupref_tle(number, (*root).processed_tlist);
            let mut count = 0;
            let parts = pg_sys::find_appinfos_by_relids(root, (*input).relids, &mut count);
            let column = pg_sys::adjust_appendrel_attrs(root, (*entry).expr.cast(), count, parts);
            pg_sys::add_column_to_pathtarget(whole, column.cast(), number);
        }
    }
}

/// The path for whole aggregates behind a path of this file.
unsafe fn behind(path: *const pg_sys::ForeignPath) -> Option<*mut pg_sys::ForeignPath> {
    // SAFETY: postgres_fdw's own paths hold Booleans, never paths.
    unsafe {
        let first = *list::pointers::<pg_sys::Node>((*path).fdw_private).first()?;
        ((*first).type_ == pg_sys::NodeTag::T_ForeignPath).then_some(first.cast())
    }
}

/// The plan of a path of this file, or none for others.
///
/// # Safety
/// Arguments of `GetForeignPlan`.
pub(super) unsafe fn plan(
    root: *mut pg_sys::PlannerInfo,
    path: *mut pg_sys::ForeignPath,
    targets: *mut pg_sys::List,
    outer: *mut pg_sys::Plan,
) -> Option<*mut pg_sys::ForeignScan> {
    let callback = base().GetForeignPlan?;
    // SAFETY: as the caller says; the plan is ours to complete before anybody sees it.
    unsafe {
        let whole = behind(path)?;
        let none = std::ptr::null_mut();
        let asked = (*whole).path.parent;
        let scan =
            pg_guard_ffi_boundary(|| callback(root, asked, pg_sys::InvalidOid, whole, targets, none, outer));
        let sent = list::pointers::<pg_sys::TargetEntry>((*scan).fdw_scan_tlist);
        let name = |part: &*mut pg_sys::Expr| {
            let at = sent
                .iter()
                .position(|entry| pg_sys::equal((**entry).expr.cast(), part.cast_const().cast()));
            format!("p.c{}", at.expect("what was asked for is computed") + 1)
        };
        let (mut entries, mut numbers, mut shapes) = (none, none, none);
        let mut columns = Vec::new();
        let target = (*path).path.pathtarget;
        for (n, column) in (1..).zip(list::pointers::<pg_sys::Expr>((*target).exprs)) {
            let wanted = wanted(column).expect("looked at before");
            let parts: Vec<String> = wanted.parts.iter().map(name).collect();
            columns.push(wanted.shape.sql(&parts));
            let copy = pg_sys::copyObjectImpl(column.cast()).cast();
            let entry = pg_sys::makeTargetEntry(copy, n, std::ptr::null_mut(), false);
            entries = pg_sys::lappend(entries, entry.cast());
            numbers = pg_sys::lappend_int(numbers, n.into());
            shapes = pg_sys::lappend_int(shapes, wanted.shape as i32);
        }
        let names: Vec<String> = (1..=sent.len()).map(|n| format!("c{n}")).collect();
        let private = (*scan).fdw_private;
        let sql = format!(
            "SELECT {} FROM ({}) p({})",
            columns.join(", "),
            list::string(private, 0),
            names.join(", ")
        );
        let sql = CString::new(sql).expect("a statement has no zero byte");
        (*list::pointer::<pg_sys::String>(private, 0)).sval = pg_sys::pstrdup(sql.as_ptr());
        (*(*private).elements.add(1)).ptr_value = numbers.cast();
        (*scan).fdw_private = pg_sys::lappend(private, shapes.cast());
        (*scan).fdw_scan_tlist = entries;
        Some(scan)
    }
}

/// Of which whole aggregates a column can be made; none if it cannot.
unsafe fn wanted(column: *mut pg_sys::Expr) -> Option<Wanted> {
    // SAFETY: an expression of the planner's.
    unsafe {
        if (*column).type_ != pg_sys::NodeTag::T_Aggref {
            return Some(Wanted {
                shape: Shape::Plain,
                parts: vec![column],
            });
        }
        let aggregate = column.cast::<pg_sys::Aggref>();
        let sum = |function, type_| simple(aggregate, function, type_);
        let (shape, sum) = match (*aggregate).aggfnoid.to_u32() {
            pg_sys::F_AVG_INT2 => (Shape::Integers, sum(pg_sys::F_SUM_INT2, pg_sys::INT8OID)),
            pg_sys::F_AVG_INT4 => (Shape::Integers, sum(pg_sys::F_SUM_INT4, pg_sys::INT8OID)),
            pg_sys::F_AVG_FLOAT8 => (Shape::Floats, sum(pg_sys::F_SUM_FLOAT8, pg_sys::FLOAT8OID)),
            pg_sys::F_AVG_FLOAT4 => (Shape::Floats, widened(aggregate)),
            pg_sys::F_AVG_INT8 | pg_sys::F_SUM_INT8 => {
                (Shape::BigIntegers, sum(pg_sys::F_SUM_INT8, pg_sys::NUMERICOID))
            }
            pg_sys::F_AVG_NUMERIC | pg_sys::F_SUM_NUMERIC => {
                (Shape::Numerics, sum(pg_sys::F_SUM_NUMERIC, pg_sys::NUMERICOID))
            }
            function if is_its_state(aggregate, function.into()) => {
                let part = simple(aggregate, function, (*aggregate).aggtype);
                return Some(Wanted {
                    shape: Shape::Plain,
                    parts: vec![part.cast()],
                });
            }
            _ => return None,
        };
        let count = simple(aggregate, pg_sys::F_COUNT_ANY, pg_sys::INT8OID);
        (*count).aggtranstype = pg_sys::INT8OID;
        (*count).aggcollid = pg_sys::InvalidOid;
        Some(Wanted {
            shape,
            parts: vec![count.cast(), sum.cast()],
        })
    }
}

/// Whether the result of an aggregate is the state that others of it can be combined with.
unsafe fn is_its_state(aggregate: *const pg_sys::Aggref, function: pg_sys::Oid) -> bool {
    // Numbers of columns of pg_aggregate.
    const FINAL_FUNCTION: i16 = 5;
    const COMBINE_FUNCTION: i16 = 6;
    // SAFETY: a row of the catalog, read while it is held; both columns are never null.
    unsafe {
        if (*aggregate).aggtranstype == pg_sys::INTERNALOID
            || (*aggregate).aggtype != (*aggregate).aggtranstype
        {
            return false;
        }
        let cache = pg_sys::SysCacheIdentifier::AGGFNOID as i32;
        let row = pg_sys::SearchSysCache1(cache, function.into());
        if row.is_null() {
            return false;
        }
        let mut null = false;
        let mut has = |column| pg_sys::SysCacheGetAttr(cache, row, column, &mut null).value() as u32 != 0;
        let found = !has(FINAL_FUNCTION) && has(COMBINE_FUNCTION);
        pg_sys::ReleaseSysCache(row);
        found
    }
}

/// A whole aggregate over the arguments, and with the FILTER, of a partial one.
unsafe fn simple(aggregate: *const pg_sys::Aggref, function: u32, type_: pg_sys::Oid) -> *mut pg_sys::Aggref {
    // SAFETY: a copy is ours to change.
    unsafe {
        let copy = pg_sys::copyObjectImpl(aggregate.cast()).cast::<pg_sys::Aggref>();
        (*copy).aggfnoid = function.into();
        (*copy).aggtype = type_;
        (*copy).aggsplit = pg_sys::AggSplit::AGGSPLIT_SIMPLE;
        copy
    }
}

/// `sum(x::float8)` for a partial `avg(x)` of a `float4`, which adds with the precision of `float8`.
unsafe fn widened(aggregate: *const pg_sys::Aggref) -> *mut pg_sys::Aggref {
    // SAFETY: the only argument of a copy is ours to wrap.
    unsafe {
        let copy = simple(aggregate, pg_sys::F_SUM_FLOAT8, pg_sys::FLOAT8OID);
        let argument = list::pointer::<pg_sys::TargetEntry>((*copy).args, 0);
        let arguments = pg_sys::lappend(std::ptr::null_mut(), (*argument).expr.cast());
        let cast = pg_sys::makeFuncExpr(
            pg_sys::F_FLOAT8_FLOAT4.into(),
            pg_sys::FLOAT8OID,
            arguments,
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CAST,
        );
        (*argument).expr = cast.cast();
        copy
    }
}
