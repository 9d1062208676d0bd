"""Hours, days, weeks and months where the clock is changed."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest

from events.stats.periods import Period, starts_between, starts_of

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Shanghai", "2026-03-29", 24),
        ("Asia/Kolkata", "2026-03-29", 24),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        # Half an hour: the hour that is cut by the change is two.
        ("Australia/Lord_Howe", "2027-04-04", 25),
        ("Australia/Lord_Howe", "2026-10-04", 24),
        # Midnight is left out; midnight comes twice. Tables of zones differ on days to come.
        ("America/Havana", "2024-03-10", 23),
        ("America/Havana", "2024-11-03", 25),
    ],
)
def test_the_hours_of_a_day_are_those_that_its_moments_lie_in(zone, day, hours):
    here = zoneinfo.ZoneInfo(zone)
    date = datetime.date.fromisoformat(day)
    listed = list(starts_between(date, date, Period.HOUR, here))
    local_noon = datetime.datetime.combine(date, datetime.time(12), tzinfo=here)
    noon = local_noon.astimezone(datetime.UTC)
    minutes = (noon + datetime.timedelta(minutes=number) for number in range(-1000, 1000))
    moments = [moment for moment in minutes if moment.astimezone(here).date() == date]
    assert sorted({starts_of(moment, here)[0] for moment in moments}) == listed
    assert len(listed) == hours
    labels = {(start.astimezone(here).hour, start.astimezone(here).utcoffset()) for start in listed}
    assert len(labels) == hours
    assert {starts_of(moment, here)[1] for moment in moments} == {starts_of(noon, here)[1]}
