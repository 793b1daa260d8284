/*
 * A store as it was.
 *
 * In: a snapshot of db.c. Out: the options of reads that look at it. Must never: be let go while a call uses it.
 */
#include "core.h"

static void snapshot_dealloc(PyObject *self)
{
    atoll_snapshot_free(((SnapshotObject *)self)->snapshot);
    free_object(self);
}

static PyObject *snapshot_lsn(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(atoll_snapshot_lsn(((SnapshotObject *)self)->snapshot));
}

static PyObject *snapshot_release(PyObject *self, PyObject *unused)
{
    SnapshotObject *snapshot = (SnapshotObject *)self;
    atoll_snapshot *held = snapshot->snapshot;
    (void)unused;
    if (snapshot->users > 0) {
        return raise_status(ATOLL_E_BUSY, NULL);
    }
    snapshot->snapshot = NULL;
    atoll_snapshot_free(held);
    Py_RETURN_NONE;
}

/*
 * The options of a read at `object`: a snapshot, which is kept from being released until unhold_snapshot(), or None.
 *
 * Comes after everything that runs code of the program: that may release the snapshot.
 */
int hold_snapshot(PyObject *object, atoll_read_opts *room, const atoll_read_opts **options)
{
    const atoll_read_opts fresh = ATOLL_READ_OPTS_INIT;
    *options = NULL;
    if (object == Py_None) {
        return 0;
    }
    if (!PyObject_TypeCheck(object, Snapshot_Type)) {
        raise_invalid("a snapshot is needed");
        return -1;
    }
    *room = fresh;
    room->snapshot = ((SnapshotObject *)object)->snapshot;
    if (!room->snapshot) {
        raise_status(ATOLL_E_CLOSED, NULL);
        return -1;
    }
    ((SnapshotObject *)object)->users++;
    *options = room;
    return 0;
}

void unhold_snapshot(PyObject *object)
{
    if (object != Py_None) {
        ((SnapshotObject *)object)->users--;
    }
}

static PyMethodDef snapshot_methods[] = {
    {"lsn", snapshot_lsn, METH_NOARGS, "Position of the snapshot: everything below it is visible."},
    {"release", snapshot_release, METH_NOARGS, "Lets go of what the snapshot shows."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot snapshot_slots[] = {
    {Py_tp_dealloc, snapshot_dealloc},
    {Py_tp_methods, snapshot_methods},
    {0, NULL},
};

PyType_Spec snapshot_spec = {
    "atoll._core.Snapshot", sizeof(SnapshotObject), 0,
    KIND | Py_TPFLAGS_BASETYPE, snapshot_slots,
};
