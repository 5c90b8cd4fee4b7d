complete -c fileserv -s c -l config -d 'Run as configured in FILE, as a service does' -r -F
complete -c fileserv -l set -d 'Set a key of the configuration: limits.fields=50' -r
complete -c fileserv -l workers -d 'Number of workers, or auto: one a CPU' -r
complete -c fileserv -l user -d 'Serve as this user when started as root' -r -f -a "(__fish_complete_users)"
complete -c fileserv -l access-log -d 'Access log: off, stdout, stderr, syslog or FILE' -r -F
complete -c fileserv -l hash-password -d 'Read a password, print the line for users_file' -r
complete -c fileserv -l make-token -d 'Print a new token and the line for tokens_file' -r
complete -c fileserv -l pid-file -d 'Keep the process id there; refuse a second start' -r -F
complete -c fileserv -l signal -d 'Tell it to reload, upgrade, reopen, stop or quit' -r -f -a "reload\t'SIGHUP: read the configuration again'
upgrade\t'SIGUSR2: put the binary that is there now in the place of the one that runs'
reopen\t'SIGUSR1: open the logs again'
stop\t'SIGTERM: end soon'
quit\t'SIGQUIT: finish every request, then end'"
complete -c fileserv -l listen -d 'Where to listen [default: 127.0.0.1:8080]' -r
complete -c fileserv -s t -l test -d 'Check FILE: say where and what is wrong, and end'
complete -c fileserv -l check-sandbox -d 'Try from inside a sealed worker what must not be'
complete -c fileserv -l upload -d 'Let clients create and replace files; not with -c'
complete -c fileserv -s h -l help -d 'Print help'
complete -c fileserv -s V -l version -d 'Print version'
