"""All that hosts do: publish, steer, prove, audit."""
