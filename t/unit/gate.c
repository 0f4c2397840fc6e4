/* t/unit/gate.c: identity/gate.c: places over processes, and those whose holder dies */
#include "identity/gate.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "t/unit/unit.h"

static tn_gate *
new_gate(int places)
{
    void *memory =
        mmap(NULL, tn_gate_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(memory, MAP_FAILED);
    return tn_gate_init(memory, places);
}

static void
free_gate(tn_gate *gate)
{
    assert_int_equal(munmap(gate, tn_gate_size()), 0);
}

/* A process that takes a place, says so, and keeps it until it is killed. */
static pid_t
start_holder(tn_gate *gate)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const bool has_place = tn_gate_enter(gate, 1000) >= 0;

        (void)!write(ready[1], has_place ? "y" : "n", 1);
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

static void
end_holder(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
places_are_counted(void **state)
{
    tn_gate *gate = new_gate(2);
    int first = tn_gate_enter(gate, 0), second = tn_gate_enter(gate, 0);
    const int64_t before_ms = tn_clock_ms();

    (void)state;
    assert_true(first >= 0 && second >= 0 && first != second);
    assert_int_equal(tn_gate_enter(gate, 60), -1);
    assert_in_range(tn_clock_ms() - before_ms, 55, 2000);
    tn_gate_leave(gate, first);
    assert_int_equal(tn_gate_enter(gate, 0), first);
    tn_gate_leave(gate, first);
    tn_gate_leave(gate, second);
    free_gate(gate);
}

static void
at_most_all_places(void **state)
{
    tn_gate *gate = new_gate(1000);
    int places[TN_GATE_PLACES_MAX];

    (void)state;
    for (int i = 0; i < TN_GATE_PLACES_MAX; i++)
        assert_true((places[i] = tn_gate_enter(gate, 0)) >= 0);
    assert_int_equal(tn_gate_enter(gate, 0), -1);
    for (int i = 0; i < TN_GATE_PLACES_MAX; i++)
        tn_gate_leave(gate, places[i]);
    free_gate(gate);
}

static void
the_dead_give_back(void **state)
{
    tn_gate *gate = new_gate(2);
    const pid_t one = start_holder(gate), other = start_holder(gate);

    (void)state;
    assert_int_equal(tn_gate_enter(gate, 30), -1);
    for (int i = 0; i < 5; i++) { /* again and again: nothing wears out */
        const pid_t third = i == 0 ? one : start_holder(gate);
        int place;

        end_holder(third);
        place = tn_gate_enter(gate, 1000);
        assert_true(place >= 0);
        assert_int_equal(tn_gate_enter(gate, 0), -1);
        tn_gate_leave(gate, place);
    }
    end_holder(other);
    free_gate(gate);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_counted),
        cmocka_unit_test(at_most_all_places),
        cmocka_unit_test(the_dead_give_back),
    };

    return tn_unit_run("gate", tests, TN_COUNT(tests));
}
