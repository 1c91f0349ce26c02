"""What pyproject.toml cannot say: the files of deploy/ go into the wheel, beside the code.

They are wanted where no checkout is: `reporting-pipeline files` prints them, `dev` and `demo` use one.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
#: Where each lies in a checkout, and in the package.
FILES = {
    "deploy": "deploy",
    "dagster.yaml": "deploy/local/dagster.yaml",
    "workspace.yaml": "deploy/workspace.yaml",
}


class BuildWithDeployFiles(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # the checkout itself is used
        package = Path(self.build_lib) / "reporting_pipeline"
        for source, target in FILES.items():
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
                shutil.copytree(ROOT / source, package / target, dirs_exist_ok=True, ignore=ignored)
            else:
                (package / target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / source, package / target)


setup(cmdclass={"build_py": BuildWithDeployFiles})
