"""A small table, and the sentence with which another is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.data.spec import DatasetSpec
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.evidence.info import Task

BASIC = (
    "image,label,split,patient\na.png,0,train,p\nb.png,1,train,q\nc.png,1,val,r\nd.png,0,test,s\n"
)
MODEL = DatasetSpec(Task.BINARY, ("healthy", "ill"), "ill", {"spot": "ill"})


def refusal(path: Path, **arguments: object) -> str:
    with pytest.raises(InputError) as caught:
        read_table(path, **arguments)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message
