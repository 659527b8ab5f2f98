/**
 * A private CA and what it signs, made by the openssl command, because node:crypto reads certificates but makes none.
 * Good for a day.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Authority {
  /** PEM of the CA's own certificate. */
  readonly ca: string
  /** A server's certificate and key, both PEM. Default for `localhost`, 127.0.0.1 and ::1. */
  issue(names?: { readonly dns?: readonly string[]; readonly ips?: readonly string[] }): {
    readonly cert: string
    readonly key: string
  }
}

export function createAuthority(name = 'keyhole test CA'): Authority {
  const authority = inTemporary((directory) => {
    const [key, cert] = [join(directory, 'ca.key'), join(directory, 'ca.crt')]
    openssl(
      ...['req', '-x509', '-nodes', '-days', '1', ...EC, '-keyout', key, '-out', cert, '-subj', `/CN=${name}`],
      ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'],
    )
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  })

  return {
    ca: authority.cert,
    issue({ dns = ['localhost'], ips = ['127.0.0.1', '::1'] } = {}) {
      return inTemporary((directory) => {
        const path = (file: string) => join(directory, file)
        writeFileSync(path('ca.key'), authority.key)
        writeFileSync(path('ca.crt'), authority.cert)
        const names = [...dns.map((host) => `DNS:${host}`), ...ips.map((ip) => `IP:${ip}`)].join(',')
        writeFileSync(path('extensions'), `subjectAltName=${names}\nextendedKeyUsage=serverAuth\n`)
        openssl('req', '-nodes', '-new', ...EC, '-keyout', path('key'), '-out', path('request'), '-subj', '/CN=server')
        openssl(
          ...['x509', '-req', '-days', '1', '-in', path('request'), '-out', path('crt'), '-CAcreateserial'],
          ...['-CA', path('ca.crt'), '-CAkey', path('ca.key'), '-extfile', path('extensions')],
        )
        return { cert: readFileSync(path('crt'), 'utf8'), key: readFileSync(path('key'), 'utf8') }
      })
    },
  }
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' })
}

function inTemporary<T>(act: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-certificates-'))
  try {
    return act(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
