@_exported public import protocol BinaryCoding.RawTransferable
@_exported public import MachineTopology
@_exported public import SharedState
@_exported public import struct WorkTransfer.RemoteError
@_exported public import enum WorkTransfer.TransferError
@_exported public import struct WorkerSupervision.ByteCount
@_exported public import enum WorkerSupervision.CrashPolicy
@_exported public import enum WorkerSupervision.PoolError
@_exported public import enum WorkerSupervision.StartMethod
@_exported public import struct WorkerSupervision.TaskTimeout
@_exported public import struct WorkerSupervision.UsageError
@_exported public import enum WorkerSupervision.WaitStrategy
@_exported public import struct WorkerSupervision.WorkerConfiguration
@_exported public import struct WorkerSupervision.WorkerTerminated
@_exported public import enum SystemLayer.TerminationStatus
@_exported public import struct SystemLayer.SystemError
