// Package daemon is the long-running half of the lifeline command: it joins the
// probes, the control loop, the enforcer and what tells of them into one program.
// In come a configuration and a logger; out go changes of the kernel, which end with
// it, and what others see of it: status, metrics, health, alerts and log. It never
// decides what is limited, which the engine does, and it leaves no change behind.
package daemon
