import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_APPROVE: _ClassVar[Outcome]
    OUTCOME_REFER: _ClassVar[Outcome]
    OUTCOME_DECLINE: _ClassVar[Outcome]
    OUTCOME_HOLD: _ClassVar[Outcome]

class SaidBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SAID_BY_UNSPECIFIED: _ClassVar[SaidBy]
    SAID_BY_OVERRIDE: _ClassVar[SaidBy]
    SAID_BY_REVIEW: _ClassVar[SaidBy]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_APPROVE: Outcome
OUTCOME_REFER: Outcome
OUTCOME_DECLINE: Outcome
OUTCOME_HOLD: Outcome
SAID_BY_UNSPECIFIED: SaidBy
SAID_BY_OVERRIDE: SaidBy
SAID_BY_REVIEW: SaidBy

class Reason(_message.Message):
    __slots__ = ("code", "text")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    code: str
    text: str
    def __init__(self, code: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Pins(_message.Message):
    __slots__ = ("card_sha256", "policy_sha256", "profile_sha256", "release", "code")
    CARD_SHA256_FIELD_NUMBER: _ClassVar[int]
    POLICY_SHA256_FIELD_NUMBER: _ClassVar[int]
    PROFILE_SHA256_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    card_sha256: str
    policy_sha256: str
    profile_sha256: str
    release: int
    code: str
    def __init__(self, card_sha256: _Optional[str] = ..., policy_sha256: _Optional[str] = ..., profile_sha256: _Optional[str] = ..., release: _Optional[int] = ..., code: _Optional[str] = ...) -> None: ...

class LogPlace(_message.Message):
    __slots__ = ("leaf_index", "tree_size")
    LEAF_INDEX_FIELD_NUMBER: _ClassVar[int]
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    leaf_index: int
    tree_size: int
    def __init__(self, leaf_index: _Optional[int] = ..., tree_size: _Optional[int] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("decision_id", "application_id", "decided_at", "outcome", "because", "score", "pd", "band", "cutoff", "reasons", "unusual", "pins", "receipt")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    APPLICATION_ID_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    PD_FIELD_NUMBER: _ClassVar[int]
    BAND_FIELD_NUMBER: _ClassVar[int]
    CUTOFF_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    UNUSUAL_FIELD_NUMBER: _ClassVar[int]
    PINS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    application_id: str
    decided_at: _timestamp_pb2.Timestamp
    outcome: Outcome
    because: str
    score: float
    pd: float
    band: str
    cutoff: float
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    unusual: _containers.RepeatedScalarFieldContainer[str]
    pins: Pins
    receipt: LogPlace
    def __init__(self, decision_id: _Optional[str] = ..., application_id: _Optional[str] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., because: _Optional[str] = ..., score: _Optional[float] = ..., pd: _Optional[float] = ..., band: _Optional[str] = ..., cutoff: _Optional[float] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., unusual: _Optional[_Iterable[str]] = ..., pins: _Optional[_Union[Pins, _Mapping]] = ..., receipt: _Optional[_Union[LogPlace, _Mapping]] = ...) -> None: ...

class DecideRequest(_message.Message):
    __slots__ = ("application",)
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    application: _struct_pb2.Struct
    def __init__(self, application: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class DecideResponse(_message.Message):
    __slots__ = ("decision", "replayed")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    replayed: bool
    def __init__(self, decision: _Optional[_Union[Decision, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class DecideManyRequest(_message.Message):
    __slots__ = ("applications",)
    APPLICATIONS_FIELD_NUMBER: _ClassVar[int]
    applications: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Struct]
    def __init__(self, applications: _Optional[_Iterable[_Union[_struct_pb2.Struct, _Mapping]]] = ...) -> None: ...

class DecisionOrStatus(_message.Message):
    __slots__ = ("decision", "problem")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    problem: _status_pb2.Status
    def __init__(self, decision: _Optional[_Union[Decision, _Mapping]] = ..., problem: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class DecideManyResponse(_message.Message):
    __slots__ = ("results", "replayed")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[DecisionOrStatus]
    replayed: bool
    def __init__(self, results: _Optional[_Iterable[_Union[DecisionOrStatus, _Mapping]]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class SimulateRequest(_message.Message):
    __slots__ = ("application",)
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    application: _struct_pb2.Struct
    def __init__(self, application: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class SimulateResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    def __init__(self, decision: _Optional[_Union[Decision, _Mapping]] = ...) -> None: ...

class GetDecisionRequest(_message.Message):
    __slots__ = ("decision_id",)
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    def __init__(self, decision_id: _Optional[str] = ...) -> None: ...

class Standing(_message.Message):
    __slots__ = ("outcome", "said_by", "said_at", "expires_at", "expired", "new_decision_id")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SAID_BY_FIELD_NUMBER: _ClassVar[int]
    SAID_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    NEW_DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    outcome: Outcome
    said_by: SaidBy
    said_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    expired: bool
    new_decision_id: str
    def __init__(self, outcome: _Optional[_Union[Outcome, str]] = ..., said_by: _Optional[_Union[SaidBy, str]] = ..., said_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expired: _Optional[bool] = ..., new_decision_id: _Optional[str] = ...) -> None: ...

class GetDecisionResponse(_message.Message):
    __slots__ = ("decision", "stands")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    STANDS_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    stands: Standing
    def __init__(self, decision: _Optional[_Union[Decision, _Mapping]] = ..., stands: _Optional[_Union[Standing, _Mapping]] = ...) -> None: ...

class GetReceiptRequest(_message.Message):
    __slots__ = ("decision_id",)
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    def __init__(self, decision_id: _Optional[str] = ...) -> None: ...

class GetReceiptResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: str
    def __init__(self, receipt: _Optional[str] = ...) -> None: ...
