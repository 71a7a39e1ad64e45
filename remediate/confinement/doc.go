// Package confinement tells what keeps this process from reaching others: missing
// capabilities, Yama, seccomp, AppArmor, SELinux, containers. In come files of /proc and
// an error of a system call, out goes the likely cause in words. It never changes
// anything.
package confinement
