// WorkTransfer
