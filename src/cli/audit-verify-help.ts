/** What `keyhole audit verify --help` prints. */

export const AUDIT_VERIFY_HELP = `keyhole audit verify [FLAGS] [FILE...]

Says whether an audit log is whole: whether any record was altered, removed, moved or repeated since keyhole wrote it.
Each record holds the SHA-256 of the record before it, so the records of one process form a chain; this follows every
chain, and names file and line of whatever does not fit. It needs no access to any server, and of a record it prints no
more than times, numbers, ids and hashes.

Reads standard input where no FILE is given, or for the FILE "-". Several files are one log: name the oldest first.

  kubectl -n keyhole logs deploy/keyhole | keyhole audit verify
  keyhole audit verify audit.log.2 audit.log.1 audit.log
  zcat audit.log.2.gz | keyhole audit verify - audit.log.1 audit.log

  --head HASH           the SHA-256 of a record, kept elsewhere: this record must be in the log, unaltered. May be
                        repeated
  --output text|json    json: one document, {"type":"audit-verify","status":...,"chains":[...],"findings":[...]}
  --help                this text

The end of a log needs a head. A chain shows what was changed inside of it, but if its last records are cut off, what is
left is whole. keyhole therefore writes the hash of its newest record to its own log once a minute, as "audit head".
Keep these lines where whoever can change the audit log cannot change them, and give the newest one:

  kubectl -n keyhole logs deploy/keyhole | jq -rR 'fromjson? | select(.msg == "audit head") | .sha256' | tail -n 1
  keyhole audit verify --head HASH audit.log

For each chain this prints
  records   the numbers of its first and last record, how many there are, and where they stand
  time      when its first and last record were written
  began     why (a process started, the sink worked again, the file was moved), and which chain it continues
  ended     whether it is known that nothing was cut from its end
  head      the hash of its last record, to be kept and given to --head next time

Lines that are not records, such as keyhole's own log in the output of kubectl logs, are skipped and counted.

What can be wrong
  missing          records were removed, or were never collected: a file is not given, or the log was rotated away
  altered          a record is not the one that keyhole wrote
  unlinked         one of two neighbouring records was altered, and nothing after them tells which
  moved            records stand after later ones: they were moved, or the files are not in order, oldest first
  repeated         records are there again: they were copied, or collected twice
  after-stop       a record was added after the last one of a chain
  after-quote      records stand behind the one that the next chain names as the newest: they were added, or two
                   processes wrote to one file
  quoted-twice     two chains name the same record before them: one of them was added
  unquoted         a chain begins in the middle of a file without naming the record before it there: it is of another
                   file, or was added
  not-a-record     a line was a record, and is damaged or altered
  torn             the same at the end: a crash or a full disk left half a record. keyhole accounts for it when it
                   starts again; no request was answered for a record that was torn
  torn-altered     what a crash left is not what keyhole found there when it started again
  head             no record has the hash that was kept: records were cut off, or altered
  no-record        a file has lines, and none is a record: it is the wrong one, or compressed
  too-many-chains  more than 50,000 chains: the others were not verified

Exit codes
  0  whole: every record is as it was written, and every --head is there
  1  the command line is wrong, or a file cannot be read
  2  stopped before the end
  3  not whole, or there is no record at all; the output says what and where
`
