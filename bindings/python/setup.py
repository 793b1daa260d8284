"""Builds the C half against the header, with the whole engine linked into it.

In: ATOLL_INCLUDE, the folder of atoll.h, and ATOLL_STATIC, the static library; `make wheel` sets both. Out: one
extension for Python 3.11 and later that needs no library beside it.
"""

import os
import pathlib
import re

from setuptools import Extension, setup

include = pathlib.Path(os.environ.get("ATOLL_INCLUDE", "/usr/include"))
static = os.environ.get("ATOLL_STATIC", "/usr/lib/libatoll.a")
header = (include / "atoll.h").read_text()


def number(part):
    return re.search(rf"#define ATOLL_VERSION_{part} (\d+)", header).group(1)


setup(
    version=".".join(number(part) for part in ("MAJOR", "MINOR", "PATCH")),
    ext_modules=[
        Extension(
            "atoll._core",
            sorted(str(source) for source in pathlib.Path("core").glob("*.c")),
            depends=["core/core.h"],
            extra_compile_args=["-fvisibility=hidden"],
            include_dirs=[str(include)],
            extra_objects=[static],
            # What Rust's standard library needs. Its symbols stay inside: another extension may bring its own.
            libraries=["gcc_s", "util", "rt", "pthread", "m", "dl"],
            extra_link_args=["-Wl,--exclude-libs,ALL", "-Wl,--strip-debug"],
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
