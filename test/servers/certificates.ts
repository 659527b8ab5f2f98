/** A CA of our own and what it signs, made by openssl, good for a day and for loopback. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Authority {
  readonly caFile: string
  readonly ca: string
  /** A server's certificate for 127.0.0.1 and localhost. */
  issue(name: string): { readonly certFile: string; readonly keyFile: string }
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'] as const

export function certificateAuthority(directory: string): Authority {
  const caFile = join(directory, 'ca.crt')
  const caKeyFile = join(directory, 'ca.key')
  openssl(['req', '-x509', ...CURVE, '-keyout', caKeyFile, '-out', caFile, '-days', '1', '-subj', '/CN=test CA'])

  function issue(name: string): { certFile: string; keyFile: string } {
    const file = (end: string): string => join(directory, `${name}.${end}`)
    const [certFile, keyFile, extensionFile] = [file('crt'), file('key'), file('ext')]
    const request = openssl(['req', '-new', ...CURVE, '-keyout', keyFile, '-subj', `/CN=${name}`])
    writeFileSync(extensionFile, 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n')
    const signing = ['-CA', caFile, '-CAkey', caKeyFile, '-CAcreateserial', '-days', '1', '-extfile', extensionFile]
    writeFileSync(certFile, openssl(['x509', '-req', ...signing], request))
    return { certFile, keyFile }
  }

  return { caFile, ca: readFileSync(caFile, 'utf8'), issue }
}

function openssl(args: readonly string[], input = ''): string {
  return execFileSync('openssl', args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })
}
