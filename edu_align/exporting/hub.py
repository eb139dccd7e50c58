"""Uploading an export to the model hub, on request."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.config.schema import ExportConfig
from edu_align.utils.errors import UserError, first_line


@dataclass(frozen=True)
class Hub:
    """A repository that can be written to. `api` is huggingface_hub's."""

    api: Any
    repository: str
    private: bool

    def upload(self, folder: Path, message: str) -> str:
        """Create the repository where it is missing, upload the folder as one commit, and return its address.

        Errors: the hub refuses or cannot be reached; the folder stays, and the same command tries again.
        """
        try:
            self.api.create_repo(self.repository, private=self.private, exist_ok=True)
            self.api.upload_folder(repo_id=self.repository, folder_path=str(folder), commit_message=message)
        except Exception as error:
            raise UserError(
                f"`export.push_to_hub={self.repository}`: the upload failed ({first_line(error)}). The export is "
                f"whole in {folder}; the same command uploads it without making it again."
            ) from error
        return f"{self.api.endpoint}/{self.repository}"


def find_hub(export: ExportConfig) -> Hub | None:
    """Where to upload to, or None. One question to the hub makes sure of it before anything heavy begins.

    Errors: no token, a token that the hub refuses, no hub, and a public repository where a private one is asked for.
    """
    if export.push_to_hub is None:
        return None
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import RepositoryNotFoundError

    token = get_token()
    if token is None:
        raise UserError(
            f"`export.push_to_hub={export.push_to_hub}` needs a token with the right to write, and there is none. Run "
            "`hf auth login`, or set the environment variable HF_TOKEN."
        )
    api = HfApi(token=token)
    try:
        api.whoami()
        found = api.repo_info(export.push_to_hub)
    except RepositoryNotFoundError:
        return Hub(api, export.push_to_hub, export.private)
    except Exception as error:
        raise UserError(
            f"`export.push_to_hub={export.push_to_hub}`: the hub does not answer as it should ({first_line(error)}). "
            "Check the token and the network, or drop the key and upload later."
        ) from error
    if export.private and not found.private:
        raise UserError(
            f"`export.push_to_hub={export.push_to_hub}` is there already and public. Choose another name, or set "
            "export.private=false."
        )
    return Hub(api, export.push_to_hub, export.private)
