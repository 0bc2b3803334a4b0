from __future__ import annotations

import numpy as np

from isostate.report import fitted
from isostate.report.fit_plane import plane
from tests.report.planted_fits import made, views


def parts(name):
    (view,) = views(plane(made(name)))
    contours = [trace for trace in view["data"] if trace["type"] == "contour"]
    sides = [trace for trace in view["data"] if trace["type"] == "scatter" and trace["x"] != [None]]
    return contours, sides


def test_each_point_is_on_the_side_of_the_law_that_its_colour_says():
    fit = made("chinchilla")
    _, (above, below) = parts("chinchilla")
    table, off = fitted.columns(fit), fitted.residuals(fit)
    assert above["x"] == table.x["N"][off > 0].tolist()
    assert below["y"] == table.x["D"][off <= 0].tolist()
    assert len(above["x"]) + len(below["x"]) == len(fit.points)


def test_the_furthest_points_are_the_largest():
    fit = made("chinchilla")
    off = fitted.residuals(fit)
    _, (above, _) = parts("chinchilla")
    sizes = np.array(above["marker"]["size"])
    assert np.all(np.diff(sizes[np.argsort(off[off > 0])]) >= 0)


def test_contours_are_round_values_of_the_law():
    contours, _ = parts("chinchilla")
    levels = [contour["contours"]["start"] for contour in contours]
    assert levels == [contour["contours"]["end"] for contour in contours]
    assert 3 <= len(levels) <= 8
    assert all(float(f"{level:.3g}") == level for level in levels)
    z = np.array(contours[0]["z"])
    assert z.min() < levels[0] < levels[-1] < z.max()
    N, D = contours[0]["x"][3], contours[0]["y"][5]
    assert np.isclose(z[5][3], 1.8172 + 482.01 * N**-0.3478 + 2085.43 * D**-0.3658, rtol=1e-12)


def test_a_law_without_noise_has_points_of_one_size():
    (view,) = views(plane(made("kaplan", noise=0.0)))
    sizes = [
        size
        for trace in view["data"]
        if trace["type"] == "scatter" and trace["x"] != [None]
        for size in trace["marker"]["size"]
    ]
    assert max(sizes) < 4.1
