"""Plugins are found by file name, built from text, and refuse what they do not know."""

import textwrap

import pytest

from ambench import registry
from ambench.core import AttributionMethod, InputError, Metric


def test_every_plugin_bears_its_files_name_and_there_is_one_a_file():
    for kind in ("methods", "metrics", "datasets"):
        for name, cls in registry.names(kind).items():
            assert cls.__name__.lower() == name.replace("_", ""), (kind, name)
            assert registry.name_of(cls) == name


def test_settings_are_converted_by_their_fields_type():
    method = registry.load("methods", "actmax:steps=8,restarts=2,objective=probability,chunk=none")
    assert (method.steps, method.restarts, method.objective, method.chunk) == (8, 2, "probability", None)


def test_spec_of_is_the_shortest_and_reads_back():
    for spec in ("gradcam", "gradcam:relu=false", "actmax:steps=8,restarts=2", "cav:pooling=none"):
        plugin = registry.load("methods", spec)
        assert registry.load("methods", registry.spec_of(plugin)) == plugin
    assert registry.spec_of(registry.load("methods", "gradcam:relu=true")) == "gradcam"


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("gradcan", "there is no method 'gradcan'; did you mean 'gradcam'?"),
        ("gradcam:rleu=false", "'gradcam' has no setting 'rleu'; did you mean 'relu'?"),
        ("actmax:steps=many", "setting steps='many' is not right"),
        ("gradcam:relu", "'relu' is not setting=value"),
        ("python:nowhere_at_all:Thing", "cannot be imported"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(spec, sentence):
    with pytest.raises(InputError) as caught:
        registry.load("methods", spec)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_datasets_first_setting_is_its_path():
    assert registry.split("folder:/some/a=b/path+x,fit=0.5", "datasets") == (
        "folder",
        {"path": "/some/a=b/path+x", "fit": "0.5"},
    )


def test_a_method_in_a_file_of_yours_is_found_and_its_code_counts(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        textwrap.dedent(
            """
            from dataclasses import dataclass
            import torch
            from ambench.core import AttributionMethod, Heatmaps

            @dataclass(frozen=True)
            class Flat(AttributionMethod):
                level: float = 0.0

                def attribute(self, model, images, targets, concepts, randomness):
                    maps = torch.full((*targets.shape, *images.shape[2:]), self.level)
                    return Heatmaps(maps.mean((2, 3)), maps)
            """
        )
    )
    method = registry.load("methods", f"python:{file}:Flat,level=2")
    assert isinstance(method, AttributionMethod)
    assert method.level == 2.0
    before = registry.code_digest(method)
    file.write_text(file.read_text() + "\n# changed\n")
    assert registry.code_digest(method) != before
    with pytest.raises(InputError, match="did you mean 'Flat'"):
        registry.load("methods", f"python:{file}:Flatt")


def test_a_metric_is_no_method():
    assert issubclass(registry.find("metrics", "iou"), Metric)
    with pytest.raises(InputError, match="there is no method 'iou'"):
        registry.find("methods", "iou")
