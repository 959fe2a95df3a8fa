/**
 * Values that are there, or will be. Most handlers and steps have nothing to wait for, and a promise for each of them is
 * a quarter of the time of a batch; so what can go on at once does.
 */

/** A value, now or later. */
export type Soon<T> = T | Promise<T>

/** Goes on with the value: at once when it is there. */
export function whenThere<T, U>(value: Soon<T>, next: (value: T) => Soon<U>): Soon<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}
