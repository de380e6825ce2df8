"""Settings of the documentation site: `python -m sphinx -W --keep-going -b html docs OUT`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_extensions"))

import infobound  # noqa: E402

project = "infobound"
author = copyright = "the authors of infobound"
version = release = infobound.__version__

extensions = [
    "made_pages",  # docs/_extensions
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_extensions", "_templates", "generated/backreferences/*"]
exclude_patterns += ["**sg_execution_times.rst"]  # loads scripts of other hosts
templates_path = ["_templates"]
default_role = "py:obj"  # docstrings: `name` links where there is a page for it
highlight_language = "none"
myst_heading_anchors = 4  # as on GitHub

autodoc_default_options = {"members": True, "inherited-members": False}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]  # a list, as of arguments

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("infobound",),
    "reference_url": {"infobound": None},
    "within_subsection_order": "FileNameSortKey",
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_", "__repr__"),
    "image_scrapers": ("matplotlib", "result_figures"),  # docs/_extensions
    "plot_gallery": True,
}

html_theme = "furo"
html_title = f"infobound {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
