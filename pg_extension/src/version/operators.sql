-- Causal order is partial: there is no operator class of btree, and no operator is the negation of another
-- but for equality. Sorting by a vector clock is refused by PostgreSQL for want of a total order.
CREATE OPERATOR = (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_eq, COMMUTATOR = =, NEGATOR = <>,
    RESTRICT = eqsel, JOIN = eqjoinsel, HASHES
);
CREATE OPERATOR <> (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_ne, COMMUTATOR = <>, NEGATOR = =,
    RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR < (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_before, COMMUTATOR = >,
    RESTRICT = contsel, JOIN = contjoinsel
);
CREATE OPERATOR > (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_after, COMMUTATOR = <,
    RESTRICT = contsel, JOIN = contjoinsel
);
CREATE OPERATOR <= (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_before_or_equal, COMMUTATOR = >=,
    RESTRICT = contsel, JOIN = contjoinsel
);
CREATE OPERATOR >= (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_after_or_equal, COMMUTATOR = <=,
    RESTRICT = contsel, JOIN = contjoinsel
);
CREATE OPERATOR || (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_concurrent, COMMUTATOR = ||,
    RESTRICT = contsel, JOIN = contjoinsel
);
CREATE OPERATOR + (LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_merge, COMMUTATOR = +);
CREATE OPERATOR CLASS vclock_hash_ops DEFAULT FOR TYPE vclock USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 vclock_hash(vclock),
    FUNCTION 2 vclock_hash_extended(vclock, int8);
CREATE AGGREGATE merge(vclock) (
    SFUNC = vclock_merge, STYPE = vclock, COMBINEFUNC = vclock_merge, PARALLEL = SAFE
);

-- Stamps have a total order: by time, then by the bytes of the node's name.
CREATE OPERATOR = (
    LEFTARG = hlc, RIGHTARG = hlc, FUNCTION = hlc_eq, COMMUTATOR = =, NEGATOR = <>,
    RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
CREATE OPERATOR <> (
    LEFTARG = hlc, RIGHTARG = hlc, FUNCTION = hlc_ne, COMMUTATOR = <>, NEGATOR = =,
    RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR < (
    LEFTARG = hlc, RIGHTARG = hlc, FUNCTION = hlc_lt, COMMUTATOR = >, NEGATOR = >=,
    RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR > (
    LEFTARG = hlc, RIGHTARG = hlc, FUNCTION = hlc_gt, COMMUTATOR = <, NEGATOR = <=,
    RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
CREATE OPERATOR <= (
    LEFTARG = hlc, RIGHTARG = hlc, FUNCTION = hlc_le, COMMUTATOR = >=, NEGATOR = >,
    RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR >= (
    LEFTARG = hlc, RIGHTARG = hlc, FUNCTION = hlc_ge, COMMUTATOR = <=, NEGATOR = <,
    RESTRICT = scalargesel, JOIN = scalargejoinsel
);
CREATE OPERATOR CLASS hlc_ops DEFAULT FOR TYPE hlc USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
    FUNCTION 1 hlc_cmp(hlc, hlc);
CREATE OPERATOR CLASS hlc_hash_ops DEFAULT FOR TYPE hlc USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 hlc_hash(hlc),
    FUNCTION 2 hlc_hash_extended(hlc, int8);
CREATE AGGREGATE max(hlc) (
    SFUNC = hlc_larger, STYPE = hlc, COMBINEFUNC = hlc_larger, SORTOP = >, PARALLEL = SAFE
);
CREATE AGGREGATE min(hlc) (
    SFUNC = hlc_smaller, STYPE = hlc, COMBINEFUNC = hlc_smaller, SORTOP = <, PARALLEL = SAFE
);
