/**
 * What keyhole knows of its own state, without asking anybody. Ready means: able to decide and to record. Kubernetes
 * and Vault being away is not keyhole's unreadiness, or an outage of theirs would take every replica out of service
 * and turn a 503 that says what is wrong into a connection refused; their state is shown all the same. The one exception
 * is a CA that never was theirs.
 */

export interface Component {
  readonly name: string
  readonly ok: boolean
  /** A few words of ours: counts and states, never a name of a caller, a Secret or a key. */
  readonly state: string
  /** Whether readiness depends on it. */
  readonly required: boolean
}

export interface Health {
  watch(component: () => Component): void
  components(): readonly Component[]
  ready(): boolean
}

export function openHealth(): Health {
  const sources: (() => Component)[] = []
  const components = () => sources.map((read) => read())
  return {
    watch: (source) => void sources.push(source),
    components,
    ready: () => components().every(({ ok, required }) => ok || !required),
  }
}

/** The last outcome of calls to one upstream, as they were made for requests. */
export interface LastOutcome {
  told(outcome: string): void
  component(): Component
}

/**
 * An upstream whose certificate was never trusted is not down: this pod was given the wrong CA. It must count as not ready, or a
 * rollout would replace pods that work with pods that do not.
 *
 * @param changed told when it begins to answer, or stops, and by which outcome.
 */
export function lastOutcome(
  name: string,
  changed: (component: Component, outcome: string) => void = () => {},
): LastOutcome {
  let last: string | undefined
  let hasAnswered = false

  function component(): Component {
    // 4xx are answers: the upstream is there. What they say about one Secret is nobody's business here. But 401 is
    // about keyhole's own token, and stands for every request.
    const ok = last === undefined || /^(?!401)[1-4]\d\d$/.test(last)
    const state = last === undefined ? 'not asked yet' : ok ? 'answers' : `last call: ${last}`
    return { name, ok, state, required: last === 'tls' && !hasAnswered }
  }

  return {
    told(outcome) {
      const before = component()
      last = outcome
      const after = component()
      hasAnswered ||= after.ok
      if (before.ok !== after.ok || before.state === 'not asked yet') changed(after, outcome)
    },
    component,
  }
}
