"""Charts: curves equal the measured values, plotly and matplotlib agree, and outputs stay small."""

from __future__ import annotations

import io
import re
import sys

import pytest
import torch

from facekit import FaceLatents, sweep_intensity
from facekit.errors import InputError, MissingDependencyError
from facekit.install import install_line
from facekit.metrics.geometry import vertex_displacement
from facekit.viz import charts


@pytest.fixture(scope="module")
def sweep(default_pipeline):
    return sweep_intensity(default_pipeline, FaceLatents.sample(7), "smile", steps=3)


def test_displacement_grows_with_intensity(sweep):
    curves = charts.displacement_curves(sweep)
    assert curves.intensity == [0.0, 0.75, 1.5]
    for name, values in (curves.lines | curves.regions).items():
        assert values[0] == 0
        assert values == sorted(values), name
    mean, high, most = (curves.lines[name][-1] for name in ("mean", "95th percentile", "maximum"))
    assert mean < high < most
    assert curves.regions["mouth"][-1] > 5 * curves.regions["forehead"][-1], "it is a smile"


def test_texture_curves_start_at_nothing(sweep):
    lines = charts.texture_curves(sweep).lines
    assert lines["from the first step"][0] == 0
    assert lines["from the step before"][0] is None, "there is no step before the first"
    assert lines["from the first step"][1] == lines["from the step before"][1] > 0
    assert lines["from the first step"][2] > lines["from the step before"][2]


def test_charts_and_plots_show_the_curves(sweep):
    pytest.importorskip("plotly")
    curves = charts.displacement_curves(sweep)
    figure = charts.displacement_chart(sweep)
    assert {trace.name: list(trace.y) for trace in figure.data} == curves.lines | curves.regions
    plot = charts.displacement_plot(sweep)
    drawn = {line.get_label(): list(line.get_ydata()) for axes in plot.axes for line in axes.get_lines()}
    assert drawn == curves.lines | curves.regions
    assert len(charts.texture_chart(sweep).data) == len(charts.texture_plot(sweep).axes[0].get_lines()) == 2


def test_plots_save_as_vectors(sweep):
    buffer = io.BytesIO()
    charts.texture_plot(sweep).savefig(buffer, format="svg")
    assert b"<path" in buffer.getvalue()
    assert b"<image" not in buffer.getvalue()


def test_a_heat_map_of_the_whole_mesh_stays_small(sweep):
    pytest.importorskip("plotly")
    moved = vertex_displacement(sweep.mesh[0], sweep[2].mesh)
    figure = charts.mesh_heat(sweep[2].mesh, moved, "mm", "a smile")
    body = figure.data[0]
    assert len(body.x) == sweep.mesh.verts.shape[1]
    assert len(body.i) == len(sweep.mesh.faces)
    assert torch.allclose(torch.tensor(body.intensity).float(), moved[0], atol=1e-3)
    assert len(figure.to_json()) < 4e6, "Colab shows up to 10 MB"


def test_signed_values_have_zero_in_the_middle(tiny_face):
    pytest.importorskip("plotly")
    body = charts.mesh_heat(tiny_face.mesh, torch.linspace(-0.5, 0.2, 234), "tension", signed=True).data[0]
    assert body.cmin == -body.cmax
    assert body.reversescale is True


def test_bad_input_is_refused(tiny_face, tiny_sweep):
    pytest.importorskip("plotly")
    with pytest.raises(InputError, match="one face and 234 values"):
        charts.mesh_heat(tiny_sweep.mesh, torch.zeros(234))
    with pytest.raises(InputError, match="one face and 234 values"):
        charts.mesh_heat(tiny_face.mesh, torch.zeros(5))
    for make in (charts.displacement_curves, charts.texture_curves):
        with pytest.raises(InputError, match="sweep_intensity"):
            make(tiny_sweep)


def test_without_plotly_the_install_line_is_told(sweep, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(MissingDependencyError, match=re.escape(install_line("notebook"))):
        charts.displacement_chart(sweep)
    assert charts.displacement_plot(sweep).axes
