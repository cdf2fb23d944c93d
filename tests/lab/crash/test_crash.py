"""A director that is killed between any two of its steps leaves no lie behind, and the next one heals what it left."""

import signal
from collections.abc import Collection, Iterator

import pytest

from tests.lab.crash.plans import OTHER, PLANS, VIP, Document, Plan, amiss, table_for
from tests.lab.crash.stage import FOREIGN, FOREIGN_ADDRESS, Scene, Stage
from tests.lab.crash.toll import effects
from tests.lab.hosts import wait_until
from tests.lab.topology import build_lab
from tests.lab.witness import Standing, exported, table_of

STARTED_WITHIN_S = 20.0


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One director's node; the other one stays bare."""
    with build_lab() as lab:
        stage = Stage(lab.directors[0])
        wait_until(lambda: lab.directors[0].birdc("show protocols").count("Established") == 2, 20, "both BGP sessions")
        yield stage


@pytest.fixture(scope="module")
def bare(stage: Stage) -> Scene:
    """The node before any director has run there."""
    return stage.keep()


@pytest.fixture(autouse=True)
def none_outlives(stage: Stage) -> Iterator[None]:
    """No director outlives its test."""
    yield
    for each in stage.born:
        each.kill()


def served(stage: Stage, bare: Scene, documents: Collection[Document]) -> Scene:
    """The node when these services are served and their director is gone; others have put an address on its link."""
    stage.restore(bare)
    if not documents:
        return bare
    stage.want(documents)
    director = stage.start()
    stage.settle(director, Plan((), tuple(documents)))
    director.kill()
    stage.put_on_link(FOREIGN_ADDRESS)
    return stage.keep()


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_i1_i4_killed_after_any_step_it_leaves_no_lie_and_the_next_director_heals_in_one_go(
    stage: Stage, bare: Scene, plan: Plan
) -> None:
    """I2, I5, I9 as well: what goes is whole while it is announced, and in the end nothing tells of the crash."""
    before = served(stage, bare, plan.before)
    done, reference = heal(stage, before, plan)
    assert len(done) > 4
    for number, effect in enumerate(done, start=1):
        stage.restore(before)
        stage.want(plan.after)
        victim = stage.start(fatal=number)
        try:
            victim.await_end(STARTED_WITHIN_S)
            assert victim.ended_by == signal.SIGKILL, victim.text()
            assert effects(victim.text()) == done[:number]
            stage.check(plan)
            _, after = heal(stage, None, plan)
            assert after == reference
        except AssertionError as error:
            error.add_note(f"killed after step {number} of {len(done)}: {effect}")
            raise


def heal(stage: Stage, scene: Scene | None, plan: Plan) -> tuple[list[str], dict[str, Standing]]:
    """A director that lives does what is left to do and then finds nothing more; returns that, and what stands."""
    others = [FOREIGN_ADDRESS] if plan.before else []
    if scene is not None:
        stage.restore(scene)
        stage.want(plan.after)
    director = stage.start()
    stage.settle(director, plan, others)
    done = effects(director.text())
    stage.compare_anew(director)
    assert effects(director.text()) == done, "it does not come to rest"
    table = table_of(stage.director)
    director.kill()
    return done, table


def test_i9_after_the_first_programming_destinations_stand_in_canonical_order(stage: Stage, bare: Scene) -> None:
    documents = PLANS["first_programming"].after
    assert served(stage, bare, documents).table == table_for(documents) | FOREIGN


def test_i1_killed_before_it_could_confirm_bird_undoes_the_rest_and_announces_nothing_untrue(
    stage: Stage, bare: Scene
) -> None:
    """Nobody comes after it: of the old configuration and the new one both must be true."""
    plan = PLANS["teardown_of_one_of_two"]
    before = served(stage, bare, plan.before)
    done, _ = heal(stage, before, plan)
    stage.restore(before)
    stage.want(plan.after)
    configure = next(number for number, each in enumerate(done, start=1) if each.startswith("configure timeout"))
    stage.start(fatal=configure).await_end(STARTED_WITHIN_S)
    assert exported(stage.director) == {OTHER}
    wait_until(lambda: exported(stage.director) == {VIP, OTHER}, 20, "BIRD to undo what was not confirmed")
    stage.check(plan)


def test_the_check_can_fail_a_vip_that_lost_a_destination_is_reported(stage: Stage, bare: Scene) -> None:
    plan = PLANS["first_programming"]
    served(stage, bare, plan.after)
    stage.check(plan)
    stage.director.run(["ipvsadm", "-d", "-t", f"{VIP}:80", "-r", "10.1.2.2:80"])
    with pytest.raises(AssertionError, match=f"{VIP} is announced although"):
        stage.check(plan)


@pytest.mark.parametrize(
    ("plan", "spoil"),
    [
        pytest.param("first_programming", {"-t 10.50.0.1:443": None}, id="a_new_service_is_missing"),
        pytest.param(
            "teardown_of_one_of_two", {"-t 10.50.0.1:80": Standing("-s rr")}, id="a_service_that_goes_is_empty"
        ),
        pytest.param("change", {"-t 10.50.0.1:80": Standing("-s mh -b mh-fallback,mh-port")}, id="nobody_serves"),
        pytest.param(
            "change",
            {"-t 10.50.0.1:80": Standing("-s mh -b mh-fallback,mh-port", (("10.9.9.9:80", 1),))},
            id="a_stranger_serves",
        ),
    ],
)
def test_the_rule_can_fail(plan: str, spoil: dict[str, Standing | None]) -> None:
    documents = PLANS[plan].before or PLANS[plan].after
    whole = table_for(documents)
    assert amiss(VIP, PLANS[plan], whole, [VIP]) == []
    assert amiss(VIP, PLANS[plan], whole, []) != []
    spoilt = {name: each for name, each in (whole | spoil).items() if each is not None}
    assert amiss(VIP, PLANS[plan], spoilt, [VIP]) != []
