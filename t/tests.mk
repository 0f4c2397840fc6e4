# Unit tests (cmocka, TAP) and fuzz targets: t/unit/x.c becomes the executable t/unit/x.
check_PROGRAMS =
if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
endif
EXTRA_PROGRAMS = $(fuzz_targets)
unit_tests =
fuzz_targets =
