//! Which statements go to one node whole, and what they are made of.
//!
//! In: a statement as the rewriter leaves it. Out: the statement for a node, its parameters, and the expression of
//! the key that says which slot it is. Must never: take a statement whose rows may lie in two slots, or one over
//! which this server has a say of its own: row security, triggers, views, a key that is set.
//!
//! All distributed tables of a statement must be of one group, and their keys held equal to one value by conditions
//! that every row has to meet.

#![expect(unsafe_code, reason = "reads PostgreSQL's statements")]

use pgrx::prelude::*;

use super::tables::{self, Table};
use super::values::{self, Values};
use super::{copy, tag};
use crate::fdw::list;
use crate::versions;

/// A statement that goes to one node.
pub(super) struct Route {
    /// With parameters numbered as `expressions`.
    pub(super) query: *mut pg_sys::Query,
    /// What is computed here: the parameters, and behind them the key unless it is one of them.
    pub(super) expressions: Vec<*mut pg_sys::Expr>,
    /// How many of them are parameters.
    pub(super) sent: usize,
    /// Which of them is the key.
    pub(super) key: usize,
    /// The distributed tables among the statement's relations, counted from 1.
    pub(super) relations: Vec<u32>,
}

type Expression = *mut pg_sys::Node;

/// A distributed table of the statement.
struct Member {
    number: u32,
    table: Table,
}

/// Takes a statement apart; `None` if it goes the other way.
///
/// # Safety
/// A statement that is about to be planned, which stays as it is.
pub(super) unsafe fn route(parse: *mut pg_sys::Query) -> Option<Route> {
    use pg_sys::CmdType as Cmd;
    // SAFETY: as the caller says.
    unsafe {
        let q = &*parse;
        let is_plain = q.utilityStmt.is_null()
            && q.cteList.is_null()
            && q.setOperations.is_null()
            && q.withCheckOptions.is_null()
            && !q.hasSubLinks
            && !q.hasModifyingCTE
            && !q.hasRowSecurity;
        if !is_plain || q.rtable.is_null() {
            return None;
        }
        let members = members(q)?;
        if q.commandType != Cmd::CMD_SELECT {
            let target = members
                .iter()
                .find(|member| member.number == q.resultRelation as u32)?;
            if target.table.has_triggers || !q.rowMarks.is_null() {
                return None;
            }
            if q.commandType == Cmd::CMD_UPDATE && sets(q.targetList, target.table.key) {
                return None;
            }
        }
        let returned = if q.commandType == Cmd::CMD_SELECT {
            q.targetList
        } else {
            q.returningList
        };
        if !can_be_read(returned) {
            return None;
        }
        match q.commandType {
            Cmd::CMD_SELECT | Cmd::CMD_UPDATE | Cmd::CMD_DELETE => by_condition(parse, &members),
            Cmd::CMD_INSERT => insert(parse, &members),
            Cmd::CMD_MERGE => merge(parse, &members),
            _ => None,
        }
    }
}

/// The distributed tables of a statement that has nothing else but joins of them, and values.
unsafe fn members(q: &pg_sys::Query) -> Option<Vec<Member>> {
    // SAFETY: a statement's range table.
    unsafe {
        let entries = list::pointers::<pg_sys::RangeTblEntry>(q.rtable);
        let is_partitioned = |entry: &*mut pg_sys::RangeTblEntry| {
            (**entry).rtekind == pg_sys::RTEKind::RTE_RELATION
                && (**entry).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE
        };
        if !entries.iter().any(is_partitioned) {
            return None;
        }
        let excluded = if q.onConflict.is_null() {
            0
        } else {
            (*q.onConflict).exclRelIndex
        };
        let mut members = Vec::new();
        for (n, &entry) in entries.iter().enumerate() {
            let number = n as u32 + 1;
            match (*entry).rtekind {
                pg_sys::RTEKind::RTE_RELATION if number as i32 == excluded => {}
                pg_sys::RTEKind::RTE_RELATION => {
                    // Where an INSERT goes is never written with ONLY.
                    let is_insert = q.commandType == pg_sys::CmdType::CMD_INSERT;
                    let is_whole = is_partitioned(&entry) && ((*entry).inh || is_insert);
                    if !is_whole || !(*entry).tablesample.is_null() || !(*entry).securityQuals.is_null() {
                        return None;
                    }
                    let table = tables::table((*entry).relid)?;
                    members.push(Member { number, table });
                }
                pg_sys::RTEKind::RTE_JOIN | pg_sys::RTEKind::RTE_RESULT => {}
                // What is grouped by, of the relations before it.
                #[cfg(feature = "pg18")]
                pg_sys::RTEKind::RTE_GROUP => {}
                pg_sys::RTEKind::RTE_SUBQUERY
                    if q.commandType == pg_sys::CmdType::CMD_MERGE && is_row((*entry).subquery) => {}
                _ => return None,
            }
        }
        let group = members.first()?.table.group;
        members
            .iter()
            .all(|member| member.table.group == group)
            .then_some(members)
    }
}

/// True for a subquery that gives one row of expressions.
unsafe fn is_row(query: *const pg_sys::Query) -> bool {
    // SAFETY: a subquery.
    unsafe {
        let q = &*query;
        let entries = list::pointers::<pg_sys::RangeTblEntry>(q.rtable);
        let is_values = |entry: &*mut pg_sys::RangeTblEntry| match (**entry).rtekind {
            pg_sys::RTEKind::RTE_RESULT => true,
            pg_sys::RTEKind::RTE_VALUES => list::len((**entry).values_lists) == 1,
            _ => false,
        };
        q.commandType == pg_sys::CmdType::CMD_SELECT
            && entries.len() <= 1
            && entries.iter().all(is_values)
            && (*q.jointree).quals.is_null()
            && q.cteList.is_null()
            && q.setOperations.is_null()
            && q.limitCount.is_null()
            && q.limitOffset.is_null()
            && q.groupClause.is_null()
            && q.groupingSets.is_null()
            && q.havingQual.is_null()
            && !q.hasSubLinks
            && !q.hasAggs
            && !q.hasWindowFuncs
            && !q.hasTargetSRFs
            && !q.hasRowSecurity
    }
}

/// True if a list of assignments sets a column.
unsafe fn sets(targets: *const pg_sys::List, column: i16) -> bool {
    // SAFETY: a list of target entries, or null.
    unsafe {
        list::pointers::<pg_sys::TargetEntry>(targets)
            .into_iter()
            .any(|entry| !(*entry).resjunk && (*entry).resno == column)
    }
}

/// True if every column of the answer can be read from text: rows without a name cannot.
unsafe fn can_be_read(targets: *const pg_sys::List) -> bool {
    // SAFETY: a list of target entries, or null.
    unsafe {
        list::pointers::<pg_sys::TargetEntry>(targets)
            .into_iter()
            .all(|entry| {
                (*entry).resjunk
                    || pg_sys::get_typtype(pg_sys::exprType((*entry).expr.cast())) as u8
                        != pg_sys::TYPTYPE_PSEUDO
            })
    }
}

unsafe fn by_condition(parse: *mut pg_sys::Query, members: &[Member]) -> Option<Route> {
    // SAFETY: as for `route`.
    unsafe {
        let mut conditions = Vec::new();
        if !conjuncts((*parse).jointree.cast(), &mut conditions) {
            return None;
        }
        let key = common_key(parse, members, &conditions)?;
        let mut values = Values::default();
        let query = values.extract(parse);
        finish(query, values, key, members)
    }
}

/// The conditions that every row meets; false where joins may add rows that meet none.
unsafe fn conjuncts(at: Expression, into: &mut Vec<Expression>) -> bool {
    use pg_sys::NodeTag as T;
    if at.is_null() {
        return true;
    }
    // SAFETY: nodes of a statement's join tree, told apart by their tags.
    unsafe {
        match tag(at) {
            T::T_RangeTblRef => true,
            T::T_FromExpr => {
                let from = &*at.cast::<pg_sys::FromExpr>();
                list::pointers::<pg_sys::Node>(from.fromlist)
                    .into_iter()
                    .all(|item| conjuncts(item, into))
                    && conditions(from.quals, into)
            }
            T::T_JoinExpr => {
                let join = &*at.cast::<pg_sys::JoinExpr>();
                join.jointype == pg_sys::JoinType::JOIN_INNER
                    && conjuncts(join.larg, into)
                    && conjuncts(join.rarg, into)
                    && conditions(join.quals, into)
            }
            _ => false,
        }
    }
}

unsafe fn conditions(at: Expression, into: &mut Vec<Expression>) -> bool {
    // SAFETY: as above.
    unsafe {
        if at.is_null() {
            return true;
        }
        if tag(at) == pg_sys::NodeTag::T_BoolExpr
            && (*at.cast::<pg_sys::BoolExpr>()).boolop == pg_sys::BoolExprType::AND_EXPR
        {
            let arguments = list::pointers::<pg_sys::Node>((*at.cast::<pg_sys::BoolExpr>()).args);
            return arguments.into_iter().all(|argument| conditions(argument, into));
        }
        into.push(at);
        true
    }
}

/// A column without what only names its type otherwise.
unsafe fn column(mut at: Expression) -> Option<(u32, i16)> {
    // SAFETY: an expression.
    unsafe {
        while tag(at) == pg_sys::NodeTag::T_RelabelType {
            at = (*at.cast::<pg_sys::RelabelType>()).arg.cast();
        }
        if tag(at) != pg_sys::NodeTag::T_Var {
            return None;
        }
        let var = &*at.cast::<pg_sys::Var>();
        (var.varlevelsup == 0).then_some((var.varno as u32, var.varattno))
    }
}

/// What stands behind a column of a row of expressions; anything else as it is.
unsafe fn behind(parse: *const pg_sys::Query, at: Expression) -> Expression {
    // SAFETY: an expression of the statement; `is_row` holds for its subqueries.
    unsafe {
        let Some((number, attribute)) = column(at) else {
            return at;
        };
        let entries = list::pointers::<pg_sys::RangeTblEntry>((*parse).rtable);
        let Some(&entry) = entries.get((number as usize).wrapping_sub(1)) else {
            return at;
        };
        match (*entry).rtekind {
            pg_sys::RTEKind::RTE_SUBQUERY if attribute > 0 => {
                let targets = list::pointers::<pg_sys::TargetEntry>((*(*entry).subquery).targetList);
                let found = targets.into_iter().find(|target| (**target).resno == attribute);
                found.map_or(at, |target| behind((*entry).subquery, (*target).expr.cast()))
            }
            pg_sys::RTEKind::RTE_VALUES if attribute > 0 && list::len((*entry).values_lists) == 1 => {
                let row = list::pointer::<pg_sys::List>((*entry).values_lists, 0);
                list::pointers::<pg_sys::Node>(row)
                    .get(attribute as usize - 1)
                    .copied()
                    .unwrap_or(at)
            }
            _ => at,
        }
    }
}

/// The value that the keys of all tables equal.
unsafe fn common_key(
    parse: *const pg_sys::Query,
    members: &[Member],
    conditions: &[Expression],
) -> Option<Expression> {
    // SAFETY: conditions of the statement.
    unsafe {
        let member_of = |at: Expression| {
            let (number, attribute) = column(at)?;
            members
                .iter()
                .position(|member| member.number == number && member.table.key == attribute)
        };
        // Tables with a common number have equal keys.
        let mut class: Vec<usize> = (0..members.len()).collect();
        let mut fixed: Vec<(usize, Expression)> = Vec::new();
        for &condition in conditions {
            if tag(condition) != pg_sys::NodeTag::T_OpExpr {
                continue;
            }
            let operation = &*condition.cast::<pg_sys::OpExpr>();
            let sides = list::pointers::<pg_sys::Node>(operation.args);
            let &[left, right] = sides.as_slice() else {
                continue;
            };
            for (side, other) in [(left, right), (right, left)] {
                let Some(member) = member_of(side) else { continue };
                let table = &members[member].table;
                if !table.is_equality(operation.opno, operation.inputcollid) {
                    continue;
                }
                if let Some(second) = member_of(other) {
                    if members[second]
                        .table
                        .is_equality(operation.opno, operation.inputcollid)
                    {
                        let (from, to) = (class[second], class[member]);
                        class
                            .iter_mut()
                            .filter(|class| **class == from)
                            .for_each(|class| *class = to);
                    }
                    continue;
                }
                let value = behind(parse, other);
                if values::is_steady(value) {
                    fixed.push((member, value));
                }
            }
        }
        // A key that equals two values is looked for where the first one lies, and both are compared there.
        let value_of = |n: usize| {
            fixed
                .iter()
                .find(|(member, _)| class[*member] == class[n])
                .map(|(_, value)| *value)
        };
        let first = value_of(0)?;
        let same = |n: usize| value_of(n).is_some_and(|value| pg_sys::equal(value.cast(), first.cast()));
        (1..members.len()).all(same).then_some(first)
    }
}

/// The key in a type that every table's parts are found by.
unsafe fn keyed(key: Expression, members: &[Member]) -> Option<Expression> {
    // SAFETY: an expression.
    unsafe {
        let takes = |key: Expression| {
            members
                .iter()
                .all(|member| member.table.takes(pg_sys::exprType(key)))
        };
        if takes(key) {
            return Some(key);
        }
        let target = members.first()?.table.input();
        let cast = pg_sys::coerce_to_target_type(
            std::ptr::null_mut(),
            copy(key),
            pg_sys::exprType(key),
            target,
            -1,
            pg_sys::CoercionContext::COERCION_IMPLICIT,
            pg_sys::CoercionForm::COERCE_IMPLICIT_CAST,
            -1,
        );
        (!cast.is_null() && takes(cast)).then_some(cast)
    }
}

unsafe fn finish(
    query: *mut pg_sys::Query,
    mut values: Values,
    key: Expression,
    members: &[Member],
) -> Option<Route> {
    // SAFETY: a statement of `Values::extract`, and an expression of the statement before that.
    unsafe {
        let key = keyed(key, members)?;
        if !values::travels(query) {
            return None;
        }
        let sent = values.expressions.len();
        let known = values
            .expressions
            .iter()
            .position(|&value| pg_sys::equal(value.cast(), key.cast()));
        let key = known.unwrap_or_else(|| {
            values.expressions.push(copy(key).cast());
            sent
        });
        Some(Route {
            query,
            sent,
            key,
            expressions: values
                .expressions
                .into_iter()
                .map(|value| pg_sys::expression_planner(value))
                .collect(),
            relations: members.iter().map(|member| member.number).collect(),
        })
    }
}

/// An INSERT of one row: all its values are computed here.
unsafe fn insert(parse: *mut pg_sys::Query, members: &[Member]) -> Option<Route> {
    // SAFETY: as for `route`.
    unsafe {
        let q = &*parse;
        let [target] = members else { return None };
        if !(*q.jointree).fromlist.is_null() || !(*q.jointree).quals.is_null() {
            return None;
        }
        if !q.onConflict.is_null() {
            let conflict = &*q.onConflict;
            if conflict.constraint != pg_sys::InvalidOid || sets(conflict.onConflictSet, target.table.key) {
                return None;
            }
        }
        let targets = list::pointers::<pg_sys::TargetEntry>(q.targetList);
        let is_value =
            |entry: &*mut pg_sys::TargetEntry| !(**entry).resjunk && values::is_local((**entry).expr.cast());
        if !targets.iter().all(is_value) {
            return None;
        }
        let mut values = Values::default();
        let without_row = copy(parse);
        (*without_row).targetList = std::ptr::null_mut();
        let query = values.extract(without_row);
        let mut key = None;
        for &entry in &targets {
            let made: *mut pg_sys::TargetEntry = copy(entry);
            // Each is computed once, a sequence's next number too.
            (*made).expr = values.parameter((*entry).expr.cast(), false);
            if (*entry).resno == target.table.key {
                key = Some(values.expressions.len() - 1);
            }
            (*query).targetList = pg_sys::lappend((*query).targetList, made.cast());
        }
        if !(*query).onConflict.is_null() {
            let conflict: *mut pg_sys::OnConflictExpr = (*query).onConflict;
            // For plans only; it has a whole row in it.
            (*conflict).exclRelTlist = std::ptr::null_mut();
        }
        let key = key?;
        let value: Expression = values.expressions[key].cast();
        if !target.table.takes(pg_sys::exprType(value)) || !values::travels(query) {
            return None;
        }
        Some(Route {
            query,
            sent: values.expressions.len(),
            key,
            expressions: values
                .expressions
                .into_iter()
                .map(|value| pg_sys::expression_planner(value))
                .collect(),
            relations: vec![target.number],
        })
    }
}

/// A MERGE whose condition holds the key equal to a value of one row, and that inserts no other key.
unsafe fn merge(parse: *mut pg_sys::Query, members: &[Member]) -> Option<Route> {
    // SAFETY: as for `route`.
    unsafe {
        let q = &*parse;
        let mut found = Vec::new();
        if !conjuncts(q.jointree.cast(), &mut found) || versions::merges_unmatched_rows(q) {
            return None;
        }
        conditions(versions::merge_condition(q), &mut found);
        let key = common_key(parse, members, &found)?;
        let target = members
            .iter()
            .find(|member| member.number == q.resultRelation as u32)?;
        // Without a row of the source nothing happens, and more tables may give none where the key is not.
        if members.len() != 1 {
            return None;
        }
        for action in list::pointers::<pg_sys::MergeAction>(q.mergeActionList) {
            let a = &*action;
            match a.commandType {
                pg_sys::CmdType::CMD_UPDATE if sets(a.targetList, target.table.key) => return None,
                pg_sys::CmdType::CMD_INSERT => {
                    let entry = list::pointers::<pg_sys::TargetEntry>(a.targetList)
                        .into_iter()
                        .find(|entry| (**entry).resno == target.table.key)?;
                    if !same_value(behind(parse, (*entry).expr.cast()), key, parse) {
                        return None;
                    }
                }
                _ => {}
            }
        }
        let mut values = Values::default();
        let query = values.extract(parse);
        finish(query, values, key, members)
    }
}

/// True if two expressions are one value, maybe in two widths of integers.
unsafe fn same_value(one: Expression, other: Expression, parse: *const pg_sys::Query) -> bool {
    // SAFETY: expressions of the statement.
    unsafe {
        let (one, other) = (without_cast(one, parse), without_cast(other, parse));
        pg_sys::equal(one.cast(), other.cast())
    }
}

/// An expression without a widening of integers around it.
unsafe fn without_cast(at: Expression, parse: *const pg_sys::Query) -> Expression {
    // SAFETY: an expression of the statement; the tag says which kind.
    unsafe {
        let at = behind(parse, at);
        if tag(at) != pg_sys::NodeTag::T_FuncExpr {
            return at;
        }
        let call = &*at.cast::<pg_sys::FuncExpr>();
        let arguments = list::pointers::<pg_sys::Node>(call.args);
        let width = |type_: pg_sys::Oid| match type_ {
            pg_sys::INT2OID => 2,
            pg_sys::INT4OID => 4,
            pg_sys::INT8OID => 8,
            _ => 0,
        };
        match arguments.as_slice() {
            &[argument] if call.funcformat != pg_sys::CoercionForm::COERCE_EXPLICIT_CALL => {
                let (from, to) = (width(pg_sys::exprType(argument)), width(call.funcresulttype));
                if 0 < from && from < to {
                    without_cast(argument, parse)
                } else {
                    at
                }
            }
            _ => at,
        }
    }
}
