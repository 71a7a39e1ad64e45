package metrics

import "github.com/prometheus/client_golang/prometheus"

// family is one metric and its description.
type family struct {
	name, kind, help string
	labels           []string
	desc             *prometheus.Desc
}

// Kinds of families, by the words of the exposition format.
const (
	gauge   = "gauge"
	counter = "counter"
	summed  = "histogram"
)

func define(name, kind, help string, labels ...string) family {
	return family{name, kind, help, labels, prometheus.NewDesc(name, help, labels, nil)}
}

// The families, by subject.
var (
	buildInfo  = define("lifeline_build_info", gauge, "Version of this daemon; always 1.", "version", "goversion")
	dryRun     = define("lifeline_dry_run", gauge, "Whether nothing is done and only said (1) or not (0).")
	capability = define("lifeline_capability_available", gauge, "Whether a mechanism works on this host (1) or not (0), as tried at start.", "capability")
	cycleTime  = define("lifeline_turn_duration_seconds", summed, "How long the cycles of the control loop took.")
	cycleAt    = define("lifeline_last_turn_timestamp_seconds", gauge, "When the latest cycle of the control loop began, since the epoch.")

	linkCarrier  = define("lifeline_link_carrier", gauge, "Whether the link has a carrier (1) or not (0).", "link")
	linkBytes    = define("lifeline_link_bytes_total", counter, "Bytes over the link, as the kernel counts them.", "link", "direction")
	linkCapacity = define("lifeline_link_capacity_bytes_per_second", gauge, "What the link can carry: configured, learnt, or its believable speed. Absent while unknown.", "link", "direction")
	linkUsed     = define("lifeline_link_utilisation_ratio", gauge, "Rate of the link over its capacity, from 0 to 1. Absent while either is unknown.", "link", "direction")
	linkDelay    = define("lifeline_link_queueing_delay_seconds", gauge, "RTT now minus the RTT of the empty path, least of the link's targets. Absent while unknown.", "link", "direction")
	linkShaper   = define("lifeline_link_shaper_rate_bytes_per_second", gauge, "Rate of the shaper that stands for all transfers. Absent without one.", "link", "direction")
	linkPhase    = define("lifeline_link_control_phase", gauge, "Where the controller stands: 1 for its phase, 0 for the others.", "link", "direction", "phase")
	linksOmitted = define("lifeline_links_omitted", gauge, "Links beyond the 100 that are shown.")

	probeRTT    = define("lifeline_probe_rtt_seconds", summed, "Round-trip times of answered probes to the targets over the link.", "link")
	probeLoss   = define("lifeline_probe_loss_ratio", gauge, "Share of probes that were lost in the last half minute, least of the link's targets: what only some of them lose is not lost on the link. Absent while unknown.", "link")
	management  = define("lifeline_management_state", gauge, "Whether management hosts answer: 1 for the state that holds, 0 for the others; unknown also while a single one is silent that may just be away.", "state")
	probeErrors = define("lifeline_probe_errors_total", counter, "Times that a probe could not look.", "probe")

	transfers     = define("lifeline_transfers", gauge, "Rsync transfers by the way their data goes and by what is done to them.", "direction", "state")
	limits        = define("lifeline_limits", gauge, "Limits in force, by mechanism; a transfer may be held by several.", "direction", "mechanism")
	limitsTotal   = define("lifeline_limits_imposed_total", counter, "Times that a transfer came to be held by a mechanism.", "direction", "mechanism")
	pausesTotal   = define("lifeline_pauses_total", counter, "Times that a transfer was paused; the keepalive pulses within a pause do not count.", "direction")
	timeToLimit   = define("lifeline_time_to_limit_seconds", summed, "From the start of a transfer's first process to its first limit in force. Not of those that ran before the daemon.", "direction")
	timeToProtect = define("lifeline_time_to_protect_seconds", summed, "From the first cycle that saw the queueing delay at engage_delay or above, while transfers ran, to the first that saw it below for a second.", "direction")
	failures      = define("lifeline_remedy_failures_total", counter, "Times that a remedy could not be applied or undone.", "remedy")

	conditions  = define("lifeline_conditions", gauge, "Conditions that stand. Link and direction are empty for what concerns the host. Absent when none stands.", "condition", "severity", "link", "direction")
	transitions = define("lifeline_condition_transitions_total", counter, "Times that a condition was raised or cleared.", "condition", "transition")
	verdict     = define("lifeline_preboot_verdict", gauge, "Whether management gets in after a reboot: 1 for the verdict, 0 for the others; unknown before the first check.", "verdict")
	verdictAt   = define("lifeline_preboot_check_timestamp_seconds", gauge, "When that was last checked, since the epoch. Absent before the first check.")

	guardUp     = define("lifeline_guard_up", gauge, "Whether a guard stands ready to undo everything (1) or not (0).")
	guardCPU    = define("lifeline_guard_cpu_seconds_total", counter, "Processor time of the guard process. Absent without a guard.")
	guardMemory = define("lifeline_guard_resident_memory_bytes", gauge, "Resident memory of the guard process. Absent without a guard.")

	incidents   = define("lifeline_incidents", gauge, "Incidents that stand.")
	silences    = define("lifeline_silences", gauge, "Silences in force.")
	spoolBytes  = define("lifeline_alert_spool_bytes", gauge, "Bytes that spooled alerts and history take on disk.")
	spoolMax    = define("lifeline_alert_spool_limit_bytes", gauge, "Bytes that they may take.")
	spoolUnsafe = define("lifeline_alert_unwritten", gauge, "Events that the disk has not taken yet.")
	waiting     = define("lifeline_alert_waiting", gauge, "Events that wait for a receiver.", "receiver")
	deadLetters = define("lifeline_alert_dead_letters", gauge, "Events that a receiver refused for good.", "receiver")
	sent        = define("lifeline_alert_deliveries_total", counter, "Requests that a receiver accepted.", "receiver")
	unsent      = define("lifeline_alert_delivery_failures_total", counter, "Requests that failed; most are tried again.", "receiver")
	dropped     = define("lifeline_alert_dropped_total", counter, "Events that were dropped because the spool was full, since it was begun.", "receiver")
	oldest      = define("lifeline_alert_oldest_waiting_timestamp_seconds", gauge, "When the event that is being sent came in, since the epoch. Absent when none waits.", "receiver")
)

// families lists them in the order of the documentation.
func families() []family {
	return []family{
		buildInfo, dryRun, capability, cycleTime, cycleAt,
		linkCarrier, linkBytes, linkCapacity, linkUsed, linkDelay, linkShaper, linkPhase, linksOmitted,
		probeRTT, probeLoss, management, probeErrors,
		transfers, limits, limitsTotal, pausesTotal, timeToLimit, timeToProtect, failures,
		conditions, transitions, verdict, verdictAt,
		guardUp, guardCPU, guardMemory,
		incidents, silences, spoolBytes, spoolMax, spoolUnsafe, waiting, oldest, deadLetters, sent, unsent, dropped,
	}
}
