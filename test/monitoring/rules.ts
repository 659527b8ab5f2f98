/** The alert rules as they are deployed, and as Prometheus reads them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'

export interface AlertRule {
  readonly alert: string
  readonly expr: string
  readonly for: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export interface RuleGroup {
  readonly name: string
  readonly rules: readonly AlertRule[]
}

export const COMPONENT = join(import.meta.dirname, '../../deploy/k8s/components/monitoring')

const DOCUMENT = parse(readFileSync(join(COMPONENT, 'rules.yaml'), 'utf8')) as {
  readonly kind: string
  readonly spec: { readonly groups: readonly RuleGroup[] }
}

export const GROUPS = DOCUMENT.spec.groups
export const RULES = GROUPS.flatMap(({ rules }) => rules)

/** What the operator would write into Prometheus' rule files. */
export function ruleFile(groups: readonly RuleGroup[] = GROUPS): string {
  return stringify({ groups })
}
