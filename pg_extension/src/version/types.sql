CREATE TYPE vclock (
    INPUT = vclock_in, OUTPUT = vclock_out, RECEIVE = vclock_recv, SEND = vclock_send,
    INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = extended
);
CREATE TYPE hlc (
    INPUT = hlc_in, OUTPUT = hlc_out, RECEIVE = hlc_recv, SEND = hlc_send,
    INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = extended
);
