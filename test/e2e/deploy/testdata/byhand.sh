# What OpenStack-Ansible's lxc_container_create and the original collection leave on a host, made by hand: a container in their layout,
# and in it a control plane by plain kubeadm. Run on the host: C (name), A (address), VIP, EXTERNAL, VERSION, ETCD, DNS, PAUSE are
# set, the bundle's files are in /root/byhand.
set -eu
L=/var/lib/lxc/$C; R=$L/rootfs; D=$(echo "$C" | tr -d '_-' | tail -c 9)
mkdir -p $R /openstack/$C /openstack/backup/$C /openstack/log/$C
tar --numeric-owner -xpf "/var/cache/lxc/download/debian/$(. /etc/os-release; echo "$VERSION_ID")/amd64/default/rootfs.tar.xz" -C $R
for n in 0 1; do
    bridge=lxcbr0; [ $n = 1 ] && bridge=br-mgmt
    mac=00:16:3e:0a:0b:0$n; echo $mac > $L/eth$n.hwaddr
    printf 'lxc.net.%d.type = veth\nlxc.net.%d.name = eth%d\nlxc.net.%d.veth.pair = %s_eth%d\nlxc.net.%d.link = %s\nlxc.net.%d.hwaddr = %s\nlxc.net.%d.flags = up\nlxc.net.%d.mtu = 1500\n' \
        $n $n $n $n $D $n $n $bridge $n $mac $n $n > $L/eth$n.ini
done
printf '#!/bin/sh\nexit 0\n' > $L/veth-cleanup.sh; chmod 755 $L/veth-cleanup.sh
cat > $L/config <<X
lxc.include = /usr/share/lxc/config/common.conf
lxc.arch = linux64
lxc.start.auto=1
lxc.start.delay=15
lxc.group=onboot
lxc.group=openstack
lxc.rootfs.path = dir:$R
lxc.uts.name = $C
lxc.autodev = 1
lxc.hook.pre-start = $L/veth-cleanup.sh
lxc.signal.halt=SIGRTMIN+4
lxc.start.order=100
lxc.apparmor.profile=unconfined
lxc.mount.auto = proc:rw sys:rw
lxc.mount.entry = /openstack/backup/$C var/backup none bind,create=dir 0 0
lxc.mount.entry = /openstack/log/$C var/log none bind,create=dir 0 0
lxc.mount.entry=/usr/lib/modules usr/lib/modules none bind,create=dir 0 0
lxc.mount.entry=/usr/src usr/src none bind,create=dir 0 0
lxc.mount.entry=/dev/kmsg dev/kmsg none bind,create=file 0 0
security.privileged=true
security.nested=true
lxc.cap.drop=
lxc.cgroup.devices.allow=a
lxc.cgroup2.devices.allow=a
lxc.include = $L/eth0.ini
lxc.include = $L/eth1.ini
X
echo "$C" > $R/etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 %s %s\n' "$C" "$C" > $R/etc/hosts
: > $R/etc/machine-id
mkdir -p $R/etc/systemd/network $R/etc/containerd $R/etc/cni/net.d $R/opt/cni/bin $R/etc/kubernetes/manifests $R/etc/systemd/system/kubelet.service.d $R/root/.kube $R/root/byhand
printf '[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n[Link]\nRequiredForOnline=no\n' > $R/etc/systemd/network/10-eth0.network
printf '[Match]\nName=eth1\n[Network]\nAddress=%s/22\nLinkLocalAddressing=no\n' "$A" > $R/etc/systemd/network/10-eth1.network
ln -sf /lib/systemd/system/systemd-networkd.service $R/etc/systemd/system/multi-user.target.wants/
cp /root/byhand/bin/* $R/usr/bin/; chmod 755 $R/usr/bin/*; cp /root/byhand/cni/* $R/opt/cni/bin/; chmod 755 $R/opt/cni/bin/*
cp -r /root/byhand/debs $R/root/byhand/; mv /root/byhand/images.tar $R/root/byhand/
printf 'runtime-endpoint: unix:///run/containerd/containerd.sock\nimage-endpoint: unix:///run/containerd/containerd.sock\ntimeout: 30\n' > $R/etc/crictl.yaml
cat > $R/etc/containerd/config.toml <<X
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
[debug]
  level = "info"
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "registry.k8s.io/pause:$PAUSE"
    max_container_log_line_size = -1
    restrict_oom_score_adj = true
X
cat > $R/etc/systemd/system/containerd.service <<X
[Unit]
Description=containerd container runtime
After=network.target local-fs.target
[Service]
ExecStart=/usr/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
OOMScoreAdjust=-999
[Install]
WantedBy=multi-user.target
X
printf '[Unit]\nDescription=kubelet\n[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\nStartLimitInterval=0\nRestartSec=10\n[Install]\nWantedBy=multi-user.target\n' > $R/etc/systemd/system/kubelet.service
cat > $R/etc/systemd/system/kubelet.service.d/10-kubeadm.conf <<'X'
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
X
printf '[Unit]\nDescription=bpf-mount\n[Service]\nType=simple\nExecStart=/bin/sh -c "mount bpffs -t bpf /sys/fs/bpf && mount --make-shared /sys/fs/bpf"\nRestart=on-failure\n[Install]\nWantedBy=multi-user.target\n' > $R/etc/systemd/system/bpf-mount.service
printf 'net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.rp_filter = 0\n' > $R/etc/sysctl.d/99-sysctl.conf
cat > $R/etc/cni/net.d/05-byhand.conflist <<'X'
{"cniVersion": "1.0.0", "name": "byhand", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "ipam": {"type": "host-local", "ranges": [[{"subnet": "172.29.200.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}, {"type": "portmap", "capabilities": {"portMappings": true}}]}
X
# As the collection renders it, but for what this lab needs: failCgroupV1, kube-proxy's mode, images that are there (and restrict_oom_score_adj above).
cat > $R/etc/kubernetes/kubeadm.yaml <<X
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: "$A"
nodeRegistration:
  kubeletExtraArgs:
    - {name: cgroups-per-qos, value: "false"}
    - {name: enforce-node-allocatable, value: ""}
    - {name: node-ip, value: "$A"}
    - {name: container-runtime-endpoint, value: "unix:///run/containerd/containerd.sock"}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v$VERSION
controlPlaneEndpoint: "$VIP:6443"
dns: {imageTag: $DNS}
etcd:
  local:
    imageTag: $ETCD
    extraArgs:
      - {name: tls-min-version, value: TLS1.3}
apiServer:
  extraArgs:
    - {name: tls-min-version, value: VersionTLS13}
controllerManager:
  extraArgs:
    - {name: bind-address, value: 0.0.0.0}
    - {name: tls-min-version, value: VersionTLS13}
scheduler:
  extraArgs:
    - {name: bind-address, value: 0.0.0.0}
    - {name: tls-min-version, value: VersionTLS13}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
tlsMinVersion: VersionTLS13
failCgroupV1: false
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
metricsBindAddress: 0.0.0.0
mode: nftables
conntrack:
  maxPerCore: 0
X
chmod 640 $R/etc/kubernetes/kubeadm.yaml
# The collection's service is bound on both virtual addresses.
fragment() {
    printf '\n# Ansible managed\n\nfrontend k8s-front-1\n    bind %s:6443\n    option tcplog\n    timeout client 5m\n    mode tcp\n    default_backend k8s-back\n\nfrontend k8s-front-2\n    bind %s:6443\n    option tcplog\n    timeout client 5m\n    mode tcp\n    default_backend k8s-back\n\n' "$EXTERNAL" "$VIP"
    cat <<X
backend k8s-back
    mode tcp
    balance leastconn
    timeout server 15m
    stick-table  type ipv6  size 256k  expire 10s  store http_err_rate(10s)
    http-request track-sc0 src
    http-request deny deny_status 429 if { sc_http_err_rate(0) gt 20 } !{ src 192.168.0.0/16 } !{ src 172.16.0.0/12 } !{ src 10.0.0.0/8 }
    option tcplog
    option ssl-hello-chk
    option log-health-checks
    option httpchk GET /healthz
    http-check send hdr User-Agent "osa-haproxy-healthcheck" meth GET uri /healthz

    server $C $A:6443 check port 6443 inter 12000 rise 3 fall 3 check-ssl verify none
X
}
fragment > /etc/haproxy/conf.d/k8s; chown root:haproxy /etc/haproxy/conf.d/k8s; chmod 640 /etc/haproxy/conf.d/k8s
cat /etc/haproxy/conf.d/* > /etc/haproxy/haproxy.cfg; haproxy -c -q -f /etc/haproxy/haproxy.cfg; systemctl reload-or-restart haproxy
lxc-start -n $C
for i in $(seq 120); do lxc-attach -n $C -- systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded' && break; sleep 0.5; done
cat > $R/root/byhand/inside.sh <<'X'
set -eu
dpkg -i --skip-same-version --refuse-downgrade /root/byhand/debs/*.deb >/dev/null
sysctl -q --system || true
systemctl daemon-reload; systemctl enable --now containerd kubelet bpf-mount
for i in $(seq 60); do ctr version >/dev/null 2>&1 && break; sleep 0.5; done
ctr -n k8s.io images import --local --all-platforms /root/byhand/images.tar >/dev/null
rm -rf /root/byhand/images.tar
kubeadm init --config /etc/kubernetes/kubeadm.yaml --upload-certs --ignore-preflight-errors=DirAvailable--etc-kubernetes-manifests,SystemVerification
ln -sf /etc/kubernetes/admin.conf /root/.kube/config; chmod 750 /root/.kube
kubectl taint nodes --all node-role.kubernetes.io/control-plane- || true
kubectl label node "$(hostname)" openstack-control-plane=enabled
X
lxc-attach -n $C -- sh /root/byhand/inside.sh
