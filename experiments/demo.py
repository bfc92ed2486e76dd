"""A page to draw characters on and see new drawings recognised as they are drawn, offline.

    python -m experiments.demo

It serves a page on this machine, http://127.0.0.1:7860, for as long as it runs. Draw one example of
two to ten characters, any signs will do; then draw on the right. Nothing leaves the machine.

    python -m experiments.demo --backbone=efficientnet_lite0.keras

has a tab more, for photographs.

Exit code: 0 after ctrl-C; 2 the user asked for something that cannot be (1 for a bad flag).
"""

import importlib.util
import os
import socket
import tempfile
import threading

from absl import flags

from experiments import program
from meta_keras.errors import SettingError

EXTRA = (
    "The demo's page needs Gradio: pip install 'meta_keras[demo]', or pip install 'gradio>=6,<7'."
)


def define_flags(values):
    text = "Trained few-shot learner of characters (a name or a folder)."
    flags.DEFINE_string("preset", "prototypical_omniglot", text, flag_values=values)
    text = (
        "Frozen backbone for a tab of photographs (a .keras file or a name of keras.applications)."
    )
    flags.DEFINE_string("backbone", None, text, flag_values=values)
    text = "Port of the page."
    flags.DEFINE_integer("port", 7860, text, 1, 65535, flag_values=values)


def main(values):
    if not importlib.util.find_spec("gradio"):
        raise SettingError(EXTRA)
    _check_port(values.port)
    with tempfile.TemporaryDirectory(prefix="meta_keras_demo_") as uploads:
        # Both are read when Gradio is imported.
        os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=uploads)
        from experiments import demo_page
        from meta_keras import recognition

        learner, size = recognition.load_learner(values.preset, None)
        photographs = recognition.Photographs(values.backbone) if values.backbone else None
        page = demo_page.page(learner, size, photographs)
        try:
            _, address, _ = page.launch(
                server_name="127.0.0.1",
                server_port=values.port,
                theme=demo_page.theme(),
                prevent_thread_lock=True,
                quiet=True,
                ssr_mode=False,
                footer_links=[],
            )
        except OSError as error:
            raise SettingError(f"port={values.port} cannot be used: {error}") from error
        print(f"Open {address} in a browser; ctrl-C ends it.", flush=True)
        try:
            threading.Event().wait()
        except (KeyboardInterrupt, program.Terminated):
            print("\nStopped.")
        finally:
            page.close(verbose=False)
    return 0


def _check_port(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SettingError(f"port={port} cannot be used: {error.strerror}.") from error


if __name__ == "__main__":
    program.run(main, define_flags)
