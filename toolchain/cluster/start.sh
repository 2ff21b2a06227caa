#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A Kubernetes node that is its own control plane; everything ends when one part of it does.
# $1: the container's control group, below which the pods' are.
set -euo pipefail
etc=/etc/cluster state=/var/lib/cluster logs=/var/log/cluster
address=10.0.2.100

# The network has no way out, as in an enclave: a cable whose both ends are here carries the node's address.
ip link add node0 type veth peer name node1
ip address add $address/24 dev node0
ip link set node0 up
ip link set node1 up
ip route add default dev node0

# Kernel settings that are the machine's own stay as they are: kubelet finds what it would set them to.
for setting in kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000 \
  vm/overcommit_memory=1 vm/panic_on_oom=0; do
  file=/run/settings/${setting%=*}
  mkdir -p "${file%/*}"
  echo "${setting#*=}" > "$file"
  mount --bind "$file" "/proc/sys/${setting%=*}"
done
mount --make-rshared /
[ -e /dev/kmsg ] || mknod /dev/kmsg c 1 11
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  # In version 2 a group with processes of its own can't share out what it has.
  mkdir -p "/sys/fs/cgroup$1/own"
  # All are read before the first is moved, which changes the list.
  mapfile -t processes < "/sys/fs/cgroup$1/cgroup.procs"
  for process in "${processes[@]}"; do
    echo "$process" > "/sys/fs/cgroup$1/own/cgroup.procs"
  done
  sed 's/[^ ]* */+&/g' "/sys/fs/cgroup$1/cgroup.controllers" > "/sys/fs/cgroup$1/cgroup.subtree_control"
fi

pki=$state/pki
mkdir -p "$pki" /etc/cni/net.d
# Services run as this user; a volume of the node belongs to whom it is handed to.
install --directory --owner=65532 --group=65532 --mode=700 $state/volumes/{1,2,3}
chmod 700 "$pki"
cp $etc/cni.conflist /etc/cni/net.d/10-cluster.conflist
certificate() { # NAME, subject, extensions
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$pki/$1.key" -subj "$2" -out "$pki/$1.csr"
  openssl x509 -req -in "$pki/$1.csr" -CA $pki/ca.crt -CAkey $pki/ca.key -days 30 -out "$pki/$1.crt" -extfile <(echo "$3")
}
{
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $pki/ca.key -subj /CN=cluster -days 30 \
    -addext basicConstraints=critical,CA:TRUE -out $pki/ca.crt
  names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:$address,IP:10.96.0.1
  certificate apiserver /CN=kube-apiserver "subjectAltName=$names"
  certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client extendedKeyUsage=clientAuth
  certificate kubelet /O=system:nodes/CN=system:node:node "subjectAltName=DNS:node,IP:$address"
  openssl genrsa -out $pki/service-accounts.key 2048
} > $logs/pki.log 2>&1

run() { # program and arguments; when it ends all ends
  (
    "$@" > "$logs/$1.log" 2>&1 || true
    echo "$1 has ended: $(tail -n 1 "$logs/$1.log")" >&2
    kill $$
  ) &
}
kubeconfig=$etc/kubeconfig
run containerd --config $etc/containerd.toml
run etcd --data-dir $state/etcd --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
  --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
run kube-apiserver --etcd-servers=http://127.0.0.1:2379 --service-cluster-ip-range=10.96.0.0/16 \
  --advertise-address=$address --token-auth-file=$etc/tokens.csv --authorization-mode=Node,RBAC --anonymous-auth=false \
  --tls-cert-file=$pki/apiserver.crt --tls-private-key-file=$pki/apiserver.key \
  --kubelet-certificate-authority=$pki/ca.crt --client-ca-file=$pki/ca.crt \
  --kubelet-client-certificate=$pki/kubelet-client.crt --kubelet-client-key=$pki/kubelet-client.key \
  --kubelet-preferred-address-types=InternalIP --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-account-key-file=$pki/service-accounts.key --service-account-signing-key-file=$pki/service-accounts.key
run kube-controller-manager --kubeconfig=$kubeconfig/kube-controller-manager \
  --service-account-private-key-file=$pki/service-accounts.key --root-ca-file=$pki/ca.crt \
  --use-service-account-credentials --leader-elect=false --bind-address=127.0.0.1
run kube-scheduler --kubeconfig=$kubeconfig/kube-scheduler --leader-elect=false --bind-address=127.0.0.1
until [ -S /run/containerd/containerd.sock ]; do sleep 0.1; done # without which kubelet ends
run kubelet --config=$etc/kubelet.yaml --kubeconfig=$kubeconfig/kubelet --hostname-override=node \
  --node-ip=$address --cgroup-root="$1"
run kube-proxy --config=$etc/kube-proxy.yaml --hostname-override=node

wait
