"""A build backend that builds nothing and reads nothing of the package.

It stands where setuptools would, so that fetching a source distribution runs
none of the package's code: it answers with the name and version that were
asked for, and refuses everything else.
"""

import os


class Inert:
    """The hooks that `pip download` calls."""

    def get_requires_for_build_wheel(self, config_settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, metadata_directory, config_settings=None):
        name = os.environ["SECURE_TORCH_SDIST_NAME"]
        version = os.environ["SECURE_TORCH_SDIST_VERSION"]
        folder = f"{name}-{version}.dist-info"
        os.mkdir(os.path.join(metadata_directory, folder))
        with open(os.path.join(metadata_directory, folder, "METADATA"), "w") as file:
            file.write(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        return folder

    def build_wheel(self, wheel_directory, config_settings=None, metadata_directory=None):
        raise RuntimeError("this backend builds nothing")


__legacy__ = Inert()
