//! Planning a scan: which conditions become a range of keys, in which order rows come, how many there may be.
//!
//! In: a query's conditions. Out: a plan that holds for each pushed condition its operator and the expression
//! it compares with. Must never: push a condition whose order or equality is not that of the keys' bytes.
//!
//! Pushed: `=`, `<`, `<=`, `>`, `>=` and `= ANY (array)` between the key column and an expression that does not
//! change during the scan; of a key of several columns, `=` of the first ones. Text compares by bytes under
//! the collation "C" only; under another deterministic one `=` is pushed, the rest is not.

#![expect(unsafe_code, reason = "reads and builds PostgreSQL's planner nodes")]

use std::ffi::c_void;
use std::ptr::null_mut;

use pgrx::pg_guard;
use pgrx::prelude::*;

use super::options::{self, Wanted};
use super::scan::{Bounds, Condition, Operand};
use super::session;
use super::shape::{Kind, Shape};
use crate::error::raise_store;
use crate::fdw::list;
use crate::versions::{self, ForeignPath};

/// Bytes of the store that an estimate looks at.
const EFFORT_BYTES: u64 = 128 << 10;
/// Costs in PostgreSQL's unit, a page read in order: to open a store's files, and to look a key up.
const OPEN_COST: f64 = 2.0;
const LOOK_UP_COST: f64 = 0.1;
/// Part of a range that lies on one side of a bound that is not known yet.
const UNKNOWN_BOUND: f64 = 1.0 / 3.0;

/// How a key column is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Less = 1,
    LessEqual = 2,
    Equal = 3,
    GreaterEqual = 4,
    Greater = 5,
    Any = 6,
}

impl Operator {
    /// The operator with this number: B-tree strategies, and 6 for `= ANY`.
    pub(super) fn of(number: i32) -> Option<Operator> {
        use Operator::{Any, Equal, Greater, GreaterEqual, Less, LessEqual};
        [Less, LessEqual, Equal, GreaterEqual, Greater, Any]
            .into_iter()
            .find(|operator| *operator as i32 == number)
    }

    pub(super) fn is_equality(self) -> bool {
        matches!(self, Operator::Equal | Operator::Any)
    }
}

/// A condition that can be pushed.
struct Pushed {
    place: usize,
    operator: Operator,
    /// What the column is compared with.
    value: *mut pg_sys::Node,
}

/// The column that an expression is, if it is one of this relation, below relabelled types.
unsafe fn column_of(node: *mut pg_sys::Node, relation: u32) -> Option<i16> {
    // SAFETY: the tag says which node it is.
    unsafe {
        let mut node = node;
        while !node.is_null() && (*node).type_ == pg_sys::NodeTag::T_RelabelType {
            node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
        }
        if node.is_null() || (*node).type_ != pg_sys::NodeTag::T_Var {
            return None;
        }
        let var = node.cast::<pg_sys::Var>();
        ((*var).varno as u32 == relation && (*var).varlevelsup == 0).then_some((*var).varattno)
    }
}

/// Whether an expression has one value for the whole scan.
unsafe fn is_steady(root: *mut pg_sys::PlannerInfo, node: *mut pg_sys::Node, relation: u32) -> bool {
    // SAFETY: an expression of this query.
    unsafe {
        !pg_sys::bms_is_member(relation as i32, pg_sys::pull_varnos(root, node))
            && !pg_sys::contain_volatile_functions(node)
    }
}

/// The B-tree strategy of an operator for this kind of key, if it is one.
fn strategy(operator: pg_sys::Oid, column_type: pg_sys::Oid, kind: Kind) -> Option<Operator> {
    // SAFETY: asks the catalog.
    let number = unsafe {
        let type_ = if kind == Kind::Text {
            pg_sys::TEXTOID
        } else {
            column_type
        };
        let class = pg_sys::GetDefaultOpClass(type_, pg_sys::BTREE_AM_OID);
        pg_sys::get_op_opfamily_strategy(operator, pg_sys::get_opclass_family(class))
    };
    Operator::of(number).filter(|_| (1..=5).contains(&number))
}

/// Whether values of this type can be compared with a key of this kind by their bytes.
fn is_comparable(kind: Kind, type_: pg_sys::Oid) -> bool {
    Kind::of(type_).is_some_and(|other| other == kind || (other.is_int() && kind.is_int()))
}

/// Whether a comparison of text under this collation is one of bytes.
fn collation_allows(kind: Kind, operator: Operator, collation: pg_sys::Oid) -> bool {
    // SAFETY: asks the catalog; text has a collation where it is compared.
    kind != Kind::Text
        || unsafe {
            if operator.is_equality() {
                pg_sys::get_collation_isdeterministic(collation)
            } else {
                versions::compares_bytes(collation)
            }
        }
}

/// # Safety
/// A condition of this query, and the number of the relation that is scanned.
unsafe fn pushed(
    root: *mut pg_sys::PlannerInfo,
    clause: *mut pg_sys::Node,
    relation: u32,
    shape: &Shape,
) -> Option<Pushed> {
    // SAFETY: tags say which nodes these are.
    unsafe {
        let (operator, arguments, collation, any) = match (*clause).type_ {
            pg_sys::NodeTag::T_OpExpr => {
                let clause = clause.cast::<pg_sys::OpExpr>();
                ((*clause).opno, (*clause).args, (*clause).inputcollid, false)
            }
            pg_sys::NodeTag::T_ScalarArrayOpExpr => {
                let clause = clause.cast::<pg_sys::ScalarArrayOpExpr>();
                if !(*clause).useOr {
                    return None;
                }
                ((*clause).opno, (*clause).args, (*clause).inputcollid, true)
            }
            _ => return None,
        };
        if list::len(arguments) != 2 {
            return None;
        }
        let mut sides: [*mut pg_sys::Node; 2] = [list::pointer(arguments, 0), list::pointer(arguments, 1)];
        let mut operator = operator;
        if !any && column_of(sides[0], relation).is_none() {
            sides.swap(0, 1);
            operator = pg_sys::get_commutator(operator);
        }
        let number = column_of(sides[0], relation)?;
        let (place, kind) = shape.column(number)?;
        let found = strategy(operator, shape.key[place].0.type_, kind)?;
        let (found, type_) = match any {
            true if found != Operator::Equal => return None,
            true => (
                Operator::Any,
                pg_sys::get_element_type(pg_sys::exprType(sides[1])),
            ),
            false => (found, pg_sys::exprType(sides[1])),
        };
        let fits = is_comparable(kind, type_)
            && collation_allows(kind, found, collation)
            && is_steady(root, sides[1], relation);
        fits.then_some(Pushed {
            place,
            operator: found,
            value: sides[1],
        })
    }
}

/// Which of the conditions become a range of keys: of one column all, of several `=` of the first ones.
///
/// # Safety
/// As for `pushed`.
unsafe fn choose(
    root: *mut pg_sys::PlannerInfo,
    clauses: &[*mut pg_sys::Node],
    relation: u32,
    shape: &Shape,
) -> Vec<(*mut pg_sys::Node, Pushed)> {
    let mut all: Vec<_> = clauses
        .iter()
        // SAFETY: as the caller says.
        .filter_map(|&clause| unsafe { Some((clause, pushed(root, clause, relation, shape)?)) })
        .collect();
    if shape.key.len() == 1 {
        // One look-up of several keys; others are compared as any condition.
        let mut anys = 0;
        all.retain(|(_, one)| {
            anys += u32::from(one.operator == Operator::Any);
            one.operator != Operator::Any || anys == 1
        });
        return all;
    }
    let mut chosen = Vec::new();
    for place in 0..shape.key.len() {
        let found = all
            .iter()
            .position(|(_, one)| one.place == place && one.operator == Operator::Equal);
        match found {
            Some(n) => chosen.push(all.swap_remove(n)),
            None => break,
        }
    }
    chosen
}

fn shape_of(table: pg_sys::Oid) -> Shape {
    // SAFETY: the planner has locked the tables of the query.
    unsafe { Shape::of(table) }
}

/// The conditions with constants, as the scan will have them; none if one is not known yet.
unsafe fn known_bounds(shape: &Shape, chosen: &[(*mut pg_sys::Node, Pushed)]) -> (Bounds, usize) {
    let mut unknown = 0;
    let conditions = chosen.iter().filter_map(|(_, one)| {
        // SAFETY: the tag says that it is a constant of its type.
        unsafe {
            let mut node = one.value;
            while (*node).type_ == pg_sys::NodeTag::T_RelabelType {
                node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
            }
            if (*node).type_ != pg_sys::NodeTag::T_Const {
                unknown += 1;
                return None;
            }
            let constant = node.cast::<pg_sys::Const>();
            let operand = Operand::new(one.operator, (*constant).consttype);
            let value = (!(*constant).constisnull).then_some((*constant).constvalue);
            Some(Condition {
                operator: one.operator,
                elements: operand.elements(value),
            })
        }
    });
    let conditions: Vec<_> = conditions.collect();
    (Bounds::of(shape, &conditions), unknown)
}

/// About how many rows the chosen conditions leave.
unsafe fn estimate(shape: &Shape, chosen: &[(*mut pg_sys::Node, Pushed)]) -> f64 {
    let whole_key = |place| {
        chosen
            .iter()
            .any(|(_, one)| one.place == place && one.operator == Operator::Equal)
    };
    if (0..shape.key.len()).all(whole_key) {
        return 1.0;
    }
    // SAFETY: as the caller says.
    let (bounds, unknown) = unsafe { known_bounds(shape, chosen) };
    let range = match bounds {
        Bounds::Keys(keys) => return keys.len() as f64,
        Bounds::Range(start, end) => (start, end),
    };
    let unknown_any = chosen
        .iter()
        .any(|(_, one)| one.operator == Operator::Any && unknown > 0);
    if unknown_any {
        return 10.0;
    }
    let path = options::directory(shape.server, Wanted::Read);
    let reader = &session::open(&path).reader;
    let found = reader.approximate(
        range.0.as_ref().map(Vec::as_slice),
        range.1.as_ref().map(Vec::as_slice),
        EFFORT_BYTES,
    );
    match found {
        Ok(found) => (found.records as f64 * UNKNOWN_BOUND.powi(unknown as i32)).max(1.0),
        Err(error) => raise_store(&error),
    }
}

/// # Safety
/// A list of RestrictInfo.
unsafe fn clauses_of(list: *mut pg_sys::List) -> Vec<*mut pg_sys::Node> {
    // SAFETY: as the caller says.
    unsafe {
        list::pointers::<pg_sys::RestrictInfo>(list)
            .into_iter()
            .filter(|info| !(**info).pseudoconstant)
            .map(|info| (*info).clause.cast())
            .collect()
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn size(
    root: *mut pg_sys::PlannerInfo,
    relation: *mut pg_sys::RelOptInfo,
    table: pg_sys::Oid,
) {
    // SAFETY: PostgreSQL calls with a foreign table of this wrapper.
    unsafe {
        let shape = shape_of(table);
        let clauses = clauses_of((*relation).baserestrictinfo);
        let chosen = choose(root, &clauses, (*relation).relid, &shape);
        let rows = estimate(&shape, &chosen);
        let mut rest = null_mut();
        for info in list::pointers::<pg_sys::RestrictInfo>((*relation).baserestrictinfo) {
            let clause = (*info).clause.cast();
            if !chosen.iter().any(|(taken, _)| *taken == clause) {
                rest = pg_sys::lappend(rest, info.cast());
            }
        }
        let share = pg_sys::clauselist_selectivity(root, rest, 0, pg_sys::JoinType::JOIN_INNER, null_mut());
        (*relation).tuples = rows.max((*relation).tuples);
        (*relation).rows = (rows * share).max(1.0).round();
        (*(*relation).reltarget).width = (*(*relation).reltarget).width.max(32);
        // Read again for the costs of the paths.
        let kept = pg_sys::palloc(size_of::<f64>()).cast::<f64>();
        kept.write(rows);
        (*relation).fdw_private = kept.cast();
    }
}

/// Whether rows in the order of their keys are in the order that the query wants, and if so whether
/// backwards.
///
/// # Safety
/// As for `paths`.
unsafe fn order(root: *mut pg_sys::PlannerInfo, relation: u32, shape: &Shape) -> Option<bool> {
    let [(column, kind)] = shape.key.as_slice() else {
        return None;
    };
    // SAFETY: path keys of this query; tags say which nodes these are.
    unsafe {
        if list::len((*root).query_pathkeys) == 0 {
            return None;
        }
        // Keys are unique, so whatever stands behind the first is satisfied as well.
        let wanted = list::pointer::<pg_sys::PathKey>((*root).query_pathkeys, 0);
        let class = (*wanted).pk_eclass;
        let type_ = if *kind == Kind::Text {
            pg_sys::TEXTOID
        } else {
            column.type_
        };
        let family = pg_sys::get_opclass_family(pg_sys::GetDefaultOpClass(type_, pg_sys::BTREE_AM_OID));
        let is_key = list::pointers::<pg_sys::EquivalenceMember>((*class).ec_members)
            .into_iter()
            .any(|member| column_of((*member).em_expr.cast(), relation) == Some(column.number));
        let by_bytes = *kind != Kind::Text || versions::compares_bytes((*class).ec_collation);
        if (*class).ec_has_volatile || !is_key || !by_bytes || (*wanted).pk_opfamily != family {
            return None;
        }
        versions::is_descending(wanted)
    }
}

/// The key column that a look-up by join is wanted for.
struct KeyColumn {
    relation: u32,
    number: i16,
}

#[pg_guard]
unsafe extern "C-unwind" fn is_key_member(
    _root: *mut pg_sys::PlannerInfo,
    _relation: *mut pg_sys::RelOptInfo,
    _class: *mut pg_sys::EquivalenceClass,
    member: *mut pg_sys::EquivalenceMember,
    argument: *mut c_void,
) -> bool {
    // SAFETY: called back with the argument given below, and a member of a class.
    unsafe {
        let key = &*argument.cast::<KeyColumn>();
        column_of((*member).em_expr.cast(), key.relation) == Some(key.number)
    }
}

#[pg_guard]
pub(super) unsafe extern "C-unwind" fn paths(
    root: *mut pg_sys::PlannerInfo,
    relation: *mut pg_sys::RelOptInfo,
    table: pg_sys::Oid,
) {
    // SAFETY: as for `size`, which has run for this relation.
    unsafe {
        let shape = shape_of(table);
        let scanned = *(*relation).fdw_private.cast::<f64>();
        let cost =
            |rows: f64, start: f64| start + rows * (pg_sys::cpu_tuple_cost + pg_sys::cpu_operator_cost * 4.0);
        let order = order(root, (*relation).relid, &shape);
        let pathkeys = if order.is_some() {
            (*root).query_pathkeys
        } else {
            null_mut()
        };
        let reverse = pg_sys::lappend_int(null_mut(), i32::from(order == Some(true)));
        let path = ForeignPath {
            rows: (*relation).rows,
            start: OPEN_COST,
            total: cost(scanned, OPEN_COST),
            order: pathkeys,
            outer: (*relation).lateral_relids,
            private: reverse,
        };
        let path = path.of(root, relation);
        pg_sys::add_path(relation, path.cast());
        look_ups(root, relation, &shape);
    }
}

/// A path for each set of relations whose rows give a whole key to look up.
unsafe fn look_ups(root: *mut pg_sys::PlannerInfo, relation: *mut pg_sys::RelOptInfo, shape: &Shape) {
    let [(column, _)] = shape.key.as_slice() else {
        return;
    };
    // SAFETY: as for `paths`.
    unsafe {
        let mut infos = list::pointers::<pg_sys::RestrictInfo>((*relation).joininfo);
        infos.retain(|&info| pg_sys::join_clause_is_movable_to(info, relation));
        if (*relation).has_eclass_joins {
            let mut key = KeyColumn {
                relation: (*relation).relid,
                number: column.number,
            };
            let implied = pg_sys::generate_implied_equalities_for_column(
                root,
                relation,
                Some(is_key_member),
                (&raw mut key).cast(),
                (*relation).lateral_referencers,
            );
            infos.extend(list::pointers::<pg_sys::RestrictInfo>(implied));
        }
        let mut seen: Vec<*mut pg_sys::Bitmapset> = Vec::new();
        for info in infos {
            let clause = (*info).clause.cast();
            let one = pushed(root, clause, (*relation).relid, shape);
            if !one.is_some_and(|one| one.operator == Operator::Equal) {
                continue;
            }
            let outer = pg_sys::bms_union((*info).clause_relids, (*relation).lateral_relids);
            let outer = pg_sys::bms_del_member(outer, (*relation).relid as i32);
            if pg_sys::bms_num_members(outer) == 0
                || seen.iter().any(|&known| pg_sys::bms_equal(known, outer))
            {
                continue;
            }
            seen.push(outer);
            let parameters = pg_sys::get_baserel_parampathinfo(root, relation, outer);
            let path = ForeignPath {
                rows: (*parameters).ppi_rows.min(1.0),
                start: LOOK_UP_COST,
                total: LOOK_UP_COST + pg_sys::cpu_tuple_cost,
                order: null_mut(),
                outer,
                private: pg_sys::lappend_int(null_mut(), 0),
            };
            let path = path.of(root, relation);
            pg_sys::add_path(relation, path.cast());
        }
    }
}

/// The plan's private integers: whether backwards, how many conditions, the operator of each, then the columns
/// that are read. Conditions on several key columns stand in their order.
#[pg_guard]
pub(super) unsafe extern "C-unwind" fn plan(
    root: *mut pg_sys::PlannerInfo,
    relation: *mut pg_sys::RelOptInfo,
    table: pg_sys::Oid,
    path: *mut pg_sys::ForeignPath,
    columns: *mut pg_sys::List,
    conditions: *mut pg_sys::List,
    outer: *mut pg_sys::Plan,
) -> *mut pg_sys::ForeignScan {
    // SAFETY: PostgreSQL calls with a path made above and its conditions.
    unsafe {
        let shape = shape_of(table);
        let number = (*relation).relid;
        let clauses = pg_sys::extract_actual_clauses(conditions, false);
        let clauses = list::pointers::<pg_sys::Node>(clauses);
        let chosen = choose(root, &clauses, number, &shape);
        let (mut expressions, mut local, mut shown) = (null_mut(), null_mut(), null_mut());
        let mut private = pg_sys::lappend_int(null_mut(), list::integers((*path).fdw_private)[0]);
        private = pg_sys::lappend_int(private, chosen.len() as i32);
        for (clause, one) in &chosen {
            private = pg_sys::lappend_int(private, one.operator as i32);
            expressions = pg_sys::lappend(expressions, one.value.cast());
            shown = pg_sys::lappend(shown, (*clause).cast());
        }
        let mut used = null_mut();
        pg_sys::pull_varattnos((*(*relation).reltarget).exprs.cast(), number, &mut used);
        for &clause in &clauses {
            if !chosen.iter().any(|(taken, _)| *taken == clause) {
                local = pg_sys::lappend(local, clause.cast());
                pg_sys::pull_varattnos(clause, number, &mut used);
            }
        }
        let offset = pg_sys::FirstLowInvalidHeapAttributeNumber;
        let whole = pg_sys::bms_is_member(-offset, used);
        for column in shape.key.iter().map(|(column, _)| column).chain(&shape.rest) {
            if whole || pg_sys::bms_is_member(i32::from(column.number) - offset, used) {
                private = pg_sys::lappend_int(private, column.number.into());
            }
        }
        pg_sys::make_foreignscan(
            columns,
            local,
            number,
            expressions,
            private,
            null_mut(),
            shown,
            outer,
        )
    }
}
