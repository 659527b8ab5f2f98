/** The dashboard as it is deployed. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { COMPONENT } from './rules.ts'

export interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly datasource?: { readonly uid: string }
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly {
    readonly expr: string
    readonly refId: string
    readonly datasource: { readonly uid: string }
  }[]
}

export const DASHBOARD = JSON.parse(readFileSync(join(COMPONENT, 'dashboard.json'), 'utf8')) as {
  readonly uid: string
  readonly schemaVersion: number
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] }
}

/** As Grafana asks Prometheus: variables filled in. */
export function asked(expr: string): string {
  return expr.replaceAll('$__rate_interval', '1m').replaceAll('$namespace', '.*')
}
