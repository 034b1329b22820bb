"""The Gradio page: tabs, controls, queue and limits."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

from facekit.app import work
from facekit.conventions import EXPRESSIONS, MAX_INTENSITY
from facekit.errors import FacekitError, optional_import

# Server options: uploads of at most 10 MB, errors shown.
_LAUNCH: dict[str, Any] = {"max_file_size": "10mb", "show_error": True, "footer_links": []}

# Dark enough to be readable by everybody (WCAG 2.2, AA).
_COLOURS = {
    "button_primary_background_fill": "*primary_600",
    "button_primary_background_fill_hover": "*primary_700",
    "body_text_color_subdued": "*neutral_500",
    "body_text_color_subdued_dark": "*neutral_400",
}
_STYLE = "body:not(.dark) button[role=tab].selected { color: var(--primary-600) }"
# Gradio's accessible names are missing or differ from the labels; set them.
_NAMES = """() => {
  const mend = () => {
    for (const place of document.querySelectorAll("div.empty[aria-label]:not([role])"))
      place.setAttribute("role", "img");
    for (const button of document.querySelectorAll("button.upload-container[aria-label]"))
      button.removeAttribute("aria-label");
  };
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
  mend();
}"""

# One face at a time; further visitors beyond the queue are told that it is full.
_QUEUE = {"max_size": 20, "default_concurrency_limit": 1}
# Interval of the clean-up of files, and their age then, in seconds.
_DELETE = (work.KEPT, work.KEPT)
_ABOUT = """# facekit

A few numbers, or a photograph, become a textured 3D face. People made of numbers do not exist. Nothing you do here is
kept; files are deleted after half an hour. The model and its limits are described in its model card; the faces are
under the MIT licence."""


def serve(**options: Any) -> Any:
    """Build and serve the page; return the result of ``gradio.Blocks.launch``, whose arguments are ``options``."""
    gradio = _gradio()
    # System fonts: the page loads nothing from other servers.
    theme = gradio.themes.Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return build().launch(theme=theme.set(**_COLOURS), css=_STYLE, js=_NAMES, **{**_LAUNCH, **options})


def build() -> Any:
    """Return the page as ``gradio.Blocks``."""
    gradio = _gradio()
    with gradio.Blocks(title="facekit", analytics_enabled=False, delete_cache=_DELETE) as page:
        gradio.Markdown(_ABOUT)
        with gradio.Tab("Generate"):
            _generate(gradio, page)
        with gradio.Tab("Expressions"):
            _expressions(gradio)
        with gradio.Tab("From a photograph"):
            _photograph(gradio)
        with gradio.Tab("Motion"):
            _motion(gradio)
    page.queue(**_QUEUE)
    return page


def _generate(gradio: Any, page: Any) -> None:
    with gradio.Row():
        with gradio.Column(scale=1):
            seed = gradio.Number(15, label="Seed: who it is", precision=0, minimum=0, maximum=work.LARGEST_SEED)
            other = gradio.Button("New face")
            choices = [(name.replace("_", " "), name) for name in EXPRESSIONS]
            expression = gradio.Dropdown(choices, value="smile", label="Expression")
            intensity = gradio.Slider(0, MAX_INTENSITY, 0.8, step=0.05, label="Intensity")
            truncation = gradio.Slider(0, 1, 1, step=0.05, label="Variety: 0 is the mean face")
            detail = gradio.Checkbox(True, label="Pores and wrinkles")
            kind = gradio.Dropdown(list(work.DOWNLOADS), value=next(iter(work.DOWNLOADS)), label="File")
            button = gradio.Button("Make the file", variant="primary")
            file = gradio.File(label="Your file", interactive=False)
        with gradio.Column(scale=3):
            shown = gradio.HTML(label="Viewer")
    controls = [seed, expression, intensity, truncation, detail]
    show = _told(gradio, work.viewer)
    for event in (expression.change, intensity.release, truncation.release, detail.change, seed.submit):
        event(show, controls, shown, trigger_mode="always_last")
    other.click(_any_seed, None, seed, queue=False).then(show, controls, shown)
    button.click(_told(gradio, work.save), [kind, *controls], file)
    page.load(show, controls, shown)


def _expressions(gradio: Any) -> None:
    with gradio.Row():
        seed = gradio.Number(15, label="Seed: who it is", precision=0, minimum=0, maximum=work.LARGEST_SEED)
        intensity = gradio.Slider(0, MAX_INTENSITY, 1, step=0.05, label="Intensity")
        truncation = gradio.Slider(0, 1, 1, step=0.05, label="Variety: 0 is the mean face")
    button = gradio.Button("Show all 20 expressions", variant="primary")
    picture = gradio.Image(label="20 expressions", format="png", interactive=False)
    button.click(_told(gradio, work.sheet), [seed, intensity, truncation], picture)


def _photograph(gradio: Any) -> None:
    kept = gradio.State(None)
    with gradio.Row():
        with gradio.Column(scale=1):
            gradio.Markdown(
                "One face, from the front, evenly lit. What comes out is a likeness, no measurement, and no means to "
                "identify anybody. The photograph is deleted when the head is made."
            )
            photograph = gradio.Image(type="filepath", sources=["upload", "webcam"], label="Photograph")
            consent = gradio.Checkbox(False, label="It shows me, or somebody who agrees to this")
            texture = gradio.Radio(list(work.TEXTURES), value="blend", label="Skin: completed, photograph, or network")
            make = gradio.Button("Make the head", variant="primary")
            kind = gradio.Dropdown(list(work.PEOPLE), value=next(iter(work.PEOPLE)), label="File")
            button = gradio.Button("Make the file")
            file = gradio.File(label="Your file", interactive=False)
        with gradio.Column(scale=3):
            overlay = gradio.Image(label="Photograph, mesh, render, difference", format="png", interactive=False)
            shown = gradio.HTML(label="Viewer")
            told = gradio.Markdown()
    make.click(_told(gradio, work.from_photograph), [photograph, consent, texture], [overlay, shown, told, kept])
    button.click(_told(gradio, work.save_person), [kind, kept], file)


def _motion(gradio: Any) -> None:
    with gradio.Row():
        with gradio.Column(scale=1):
            gradio.Markdown(
                "A take of *Live Link Face*, or a CSV with ARKit's names. Without one, ten seconds of facekit's own."
            )
            take = gradio.File(label="Motion", file_types=[".csv", ".json", ".npz"], type="filepath")
            seed = gradio.Number(15, label="Seed: who it is", precision=0, minimum=0, maximum=work.LARGEST_SEED)
            truncation = gradio.Slider(0, 1, 1, step=0.05, label="Variety: 0 is the mean face")
            play = gradio.Button("Show it", variant="primary")
            kind = gradio.Dropdown(list(work.MOTIONS), value=next(iter(work.MOTIONS)), label="File")
            gradio.Markdown(f"{work.LONGEST:.0f} seconds at most; a film has the first {work.LONGEST_FILM:.0f}.")
            button = gradio.Button("Make the file")
            file = gradio.File(label="Your file", interactive=False)
        with gradio.Column(scale=3):
            shown = gradio.HTML(label="Viewer")
    play.click(_told(gradio, work.motion_viewer), [take, seed, truncation], shown)
    button.click(_told(gradio, work.save_motion), [kind, take, seed, truncation], file)


def _gradio() -> Any:
    return optional_import("gradio", "app", "the page to try")


def _any_seed() -> int:
    return random.randrange(100_000)


def _told(gradio: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that facekit's errors are shown on the page."""

    @functools.wraps(function)
    def guarded(*values: Any) -> Any:
        try:
            return function(*values)
        except FacekitError as error:
            raise gradio.Error(str(error)) from error

    return guarded
