"""Lets conf/ travel inside the wheel as edu_align/conf; everything else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConf(build_py):
    """Copies the checkout's conf/ into the built package."""

    def run(self) -> None:
        super().run()
        shutil.copytree(Path(__file__).parent / "conf", Path(self.build_lib) / "edu_align" / "conf", dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConf})
