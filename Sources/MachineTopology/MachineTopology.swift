// MachineTopology
