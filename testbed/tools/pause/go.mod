// The first process of a pod's sandbox and of the node itself.
module prow-stack/testbed/tools/pause

go 1.26
