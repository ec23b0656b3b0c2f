"""The run directory: the files through which training and interface communicate.

The trainer has a `RunWriter` and a `Control`; the interface reads with `MetricsReader` and
`read_state`, and sends a `request`. One process writes the files and any number read them, on the
same machine or over a shared disk.
"""

from tinygpt.run.checkpoints import (
    CheckpointList,
    Which,
    list_checkpoints,
)
from tinygpt.run.columns import (
    Item,
    TrainColumns,
)
from tinygpt.run.control import (
    Control,
    Request,
    request,
)
from tinygpt.run.layout import (
    CONTROL,
    LOCK,
    LOG,
    METRICS,
    RUN_TOML,
    STATUS,
    TOKENIZER,
    VARIANTS,
    checkpoint_dir,
    is_run,
    list_steps,
    new_run_name,
    parse_step,
    read_config,
    reserve_run,
    step_name,
    validate_run_name,
)
from tinygpt.run.lines import (
    parse_record,
    to_json,
)
from tinygpt.run.listing import (
    RunInfo,
    current_run,
    list_runs,
    live_run,
    newest_run,
)
from tinygpt.run.reader import (
    MetricsReader,
)
from tinygpt.run.records import (
    SCHEMA_VERSION,
    CheckpointRecord,
    EndRecord,
    EndState,
    EvalRecord,
    ModelRecord,
    Record,
    ResumeRecord,
    RoutingRecord,
    SampleRecord,
    StartRecord,
    TrainRecord,
    drop_rewound,
)
from tinygpt.run.status import (
    HEARTBEAT_OVERDUE,
    RunState,
    State,
    Status,
    StatusState,
    read_state,
    read_status,
)
from tinygpt.run.writer import (
    HEARTBEAT_EVERY,
    RunWriter,
)

__all__ = [
    "CONTROL",
    "HEARTBEAT_EVERY",
    "HEARTBEAT_OVERDUE",
    "LOCK",
    "LOG",
    "METRICS",
    "RUN_TOML",
    "SCHEMA_VERSION",
    "STATUS",
    "TOKENIZER",
    "VARIANTS",
    "CheckpointList",
    "CheckpointRecord",
    "Control",
    "EndRecord",
    "EndState",
    "EvalRecord",
    "Item",
    "MetricsReader",
    "ModelRecord",
    "Record",
    "Request",
    "ResumeRecord",
    "RoutingRecord",
    "RunInfo",
    "RunState",
    "RunWriter",
    "SampleRecord",
    "StartRecord",
    "State",
    "Status",
    "StatusState",
    "TrainColumns",
    "TrainRecord",
    "Which",
    "checkpoint_dir",
    "current_run",
    "drop_rewound",
    "is_run",
    "list_checkpoints",
    "list_runs",
    "list_steps",
    "live_run",
    "new_run_name",
    "newest_run",
    "parse_record",
    "parse_step",
    "read_config",
    "read_state",
    "read_status",
    "request",
    "reserve_run",
    "step_name",
    "to_json",
    "validate_run_name",
]
