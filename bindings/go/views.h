/*
 * Views on their way to Go.
 *
 * In: a view of the library's. Out: the same bytes, with NULL where there are none. Must never: let Go see the address of an
 * empty view. The library may give any, such as 1, and Go ends the process when it finds such a pointer on a stack it moves.
 */
#ifndef ATOLL_GO_VIEWS_H
#define ATOLL_GO_VIEWS_H

#include <atoll.h>

static inline atoll_bytes seen_by_go(atoll_bytes view)
{
	if (view.len == 0)
		view.data = NULL;
	return view;
}

static inline atoll_version_view version_seen_by_go(atoll_version_view version)
{
	version.value = seen_by_go(version.value);
	version.context = seen_by_go(version.context);
	return version;
}

#endif
