// WorkerSupervision
