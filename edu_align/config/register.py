"""The schemas in Hydra's store, where the YAML files find them."""

from dataclasses import fields

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from edu_align.config.keys import is_open
from edu_align.config.schema import GROUP_SCHEMAS, Config


def register() -> None:
    """Put every schema into Hydra's ConfigStore; the YAML files of a group start their defaults with it.

    Mappings for keys of the user's own take new ones: `dataset.columns={prompt: question}`.
    """
    store = ConfigStore.instance()
    store.store(name="config_schema", node=Config)
    for group, schemas in GROUP_SCHEMAS.items():
        for name, schema in schemas.items():
            node = OmegaConf.structured(schema)
            for item in fields(schema):
                if is_open(item.type):
                    OmegaConf.set_struct(node[item.name], False)
            store.store(group=group, name=name, node=node)
