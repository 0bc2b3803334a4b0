from __future__ import annotations

from isostate.report import hover
from isostate.report.fits import fit_laws
from tests.report import studies
from tests.report.planted_fits import failed, made


def test_a_run_says_everything():
    text = hover.of_run(studies.run(), 1_024)
    for part in ("power-2", "seed 0", "8,192 elements", "matrix 8,064", "bits per byte", "2 layers", "context 256",
                 "65.5K parameters without embedding", "1,000 updates of 1,024 tokens", "learning rate 0.003", "FLOPs",
                 "done"):  # fmt: skip
        assert part in text


def test_a_run_that_is_not_done_says_so_and_no_loss():
    for row in (studies.diverged(), studies.unfinished("running", 100)):
        assert f"({row['status']})" in hover.of_run(row, None)
        assert "nats" not in hover.of_run(row, None)


def test_seeds_are_summed_up_by_mean_and_spread():
    text = hover.of_mean([studies.run(seed=seed) for seed in (0, 1, 2)], 1_024, None)
    assert "3 seeds, standard deviation" in text


def test_a_law_is_shown_with_its_exponents_interval():
    fit = fit_laws(studies.small(), studies.STUDY)[0]
    assert "exponent in [" in hover.of_law(fit)
    assert "error" in hover.of_holdout("linear", fit["holdout"])


def test_names_cannot_carry_tags_into_a_label():
    row = studies.run(studies.HOSTILE["link"])
    row["state"]["parts"] = {studies.HOSTILE["script"]: 1, "b": 2}
    text = hover.of_run(row, 256)
    assert "<a" not in text
    assert "<script" not in text


def test_each_bin_of_positions_has_its_text():
    assert hover.of_positions([0, 1, 2, 4, 4_096]) == ["1 to 1", "2 to 2", "3 to 4", "5 to 4,096"]


def test_what_all_bins_say_is_a_template_in_which_no_name_is_a_field():
    text = hover.around_positions([studies.run("%{y}", seed=seed) for seed in (0, 1)], 256)
    assert text.count("%{") == 2
    assert text.startswith("<b>&#37;{y}</b><br>%{y:.3f} nats at positions %{text}<br>evaluated at context 256")
    assert text.endswith("mean of 2 seeds<extra></extra>")


def test_a_point_of_any_fit_says_its_inputs_and_what_the_law_says_there():
    fit = made("chinchilla")
    text = hover.of_points(fit)[-1]
    assert text.startswith("N = 10B, D = 1T<br>L observed ")
    law = 1.8172 + 482.01 * 1e10**-0.3478 + 2085.43 * 1e12**-0.3658
    assert f"L by the law {law:.3f}: observed " in text
    assert text.endswith("held out of the test fit")
    assert "by the law" not in hover.of_points(failed("chinchilla"))[0]
