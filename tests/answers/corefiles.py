"""Corefiles that use every directive, and files that they read with what becomes of these.

FOLDER is where the files are, UPSTREAM a name server with the zone ``up.test``.
"""

from __future__ import annotations

from typing import Final

KUBERNETES: Final = "kubernetes cluster.local in-addr.arpa ip6.arpa"

_ZONE: Final = """$ORIGIN zone.test.
@ 30 IN SOA ns root {serial} 3600 600 86400 30
@ 30 IN NS ns
ns 30 IN A 192.0.2.50
a 30 IN A 192.0.2.51
a 30 IN A {address}
alias 30 IN CNAME {target}
*.wild 30 IN A 192.0.2.53
"""

FILES: Final = {
    "zone": (
        _ZONE.format(serial=1, address="192.0.2.52", target="web.shop.svc.cluster.local."),
        _ZONE.format(serial=2, address="192.0.2.54", target="a.zone.test.")
        + "b 30 IN A 192.0.2.55\n",
        _ZONE.format(serial=3, address="192.0.2.52", target="www.up.test."),
    ),
    "auto/db.auto.test": (
        "@ 30 IN SOA ns root 1 2 3 4 5\n@ 30 IN NS ns\na 30 IN A 192.0.2.61\n",
        "@ 30 IN SOA ns root 2 2 3 4 5\n@ 30 IN NS ns\nb 30 IN A 192.0.2.61\n",
    ),
    "hosts": (
        "192.0.2.7 host.lan\n192.0.2.8 node-one.lan other.shop.svc.cluster.local\n",
        "192.0.2.7 host.lan added.lan web.shop\n",
        "192.0.2.9 host.lan\nfd00::9 host.lan\n192.0.2.7 db.shop.svc.cluster.local\n",
    ),
    "weights": (
        "many.up.test\n192.0.2.1 3\n192.0.2.2 1\nwww.up.test\n192.0.2.21 2\n192.0.2.22 1\n",
        "www.up.test\n192.0.2.22 250\n",
    ),
    "resolv.conf": (
        "nameserver 192.0.2.1\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\n",
        "nameserver 192.0.2.1\nsearch shop.svc.cluster.local up.test\n",
    ),
}

COREFILES: Final = {
    "kubernetes": f". {{\n{KUBERNETES}\n}}",
    "pods verified": f""". {{
        loadbalance
        {KUBERNETES} {{
            pods verified
            endpoint_pod_names
            namespaces shop db
            ttl 30
        }}
    }}""",
    "max_answers": f""". {{
        {KUBERNETES} {{
            pods insecure
            max_answers 5
            zonal
            ignore empty_service
        }}
    }}""",
    "multicluster": """. {
        kubernetes cluster.local clusterset.local {
            multicluster clusterset.local
            noendpoints
        }
    }""",
    "kubeadm": f"""
    . {{
        errors
        health 127.0.0.1:0
        ready 127.0.0.1:0
        {KUBERNETES} {{
            pods insecure
            fallthrough in-addr.arpa ip6.arpa
        }}
        prometheus 127.0.0.1:0
        forward . UPSTREAM
        cache 30
        loop
        reload
        loadbalance
    }}""",
    "cache of the cluster": f""". {{
        cache 3 {{
            disable denial store.svc.cluster.local
        }}
        header {{
            response set ra
            query clear rd
        }}
        bufsize 700
        metadata
        debug
        transfer {{
            to *
        }}
        {KUBERNETES} {{
            fallthrough other.shop.svc.cluster.local
        }}
        hosts FOLDER/hosts {{
            fallthrough
        }}
    }}""",
    "hosts": f""". {{
        hosts FOLDER/hosts {{
            192.0.2.30 inline.lan
            fallthrough
        }}
        {KUBERNETES} {{
            fallthrough
        }}
        whoami
    }}""",
    "files": f""". {{
        root FOLDER
        minimal
        {KUBERNETES} {{
            fallthrough
        }}
        file zone zone.test
        auto auto.test {{
            directory FOLDER/auto
        }}
        secondary secondary.test {{
            transfer from 127.0.0.1:1
        }}
        forward . UPSTREAM
    }}""",
    "file in front": f"""
    zone.test {{
        file FOLDER/zone
        log . {{
            class denial
        }}
    }}
    . {{
        {KUBERNETES}
    }}""",
    "short names": f""". {{
        shortnames shop {{
            pods
        }}
        {KUBERNETES} {{
            fallthrough
        }}
        hosts FOLDER/hosts
    }}""",
    "short names outside": f""". {{
        shortnames shop {{
            prefer outside
        }}
        {KUBERNETES} {{
            fallthrough
        }}
        hosts FOLDER/hosts {{
            fallthrough
        }}
        forward . UPSTREAM
    }}""",
    "autopath of Pods": f""". {{
        autopath @kubernetes
        {KUBERNETES} {{
            pods verified
        }}
        forward up.test UPSTREAM
    }}""",
    "autopath of a file": f""". {{
        autopath FOLDER/resolv.conf
        {KUBERNETES}
        cache 30
        forward . UPSTREAM
    }}""",
    "acl": f""". {{
        acl store.svc.cluster.local {{
            block net 192.0.2.77
            filter type AAAA
        }}
        acl {{
            drop net 198.51.100.0/24
            allow type A AAAA net 192.0.2.0/24
            block type TXT
        }}
        {KUBERNETES}
    }}""",
    "acl for all": f""". {{
        acl shop.svc.cluster.local {{
            filter type AAAA
            block type TXT
        }}
        {KUBERNETES}
    }}""",
    "rewrite": f""". {{
        rewrite name exact old.test web.shop.svc.cluster.local
        rewrite name suffix .example.org .svc.cluster.local answer auto
        rewrite continue type HTTPS A
        rewrite stop {{
            name regex (.*)\\.lan {{1}}.shop.svc.cluster.local
            answer name (.*)\\.shop\\.svc\\.cluster\\.local {{1}}.lan
        }}
        rewrite cname exact www.up.test. web.shop.svc.cluster.local.
        rewrite ttl exact web.shop.svc.cluster.local 77
        {KUBERNETES} {{
            fallthrough
        }}
        forward . UPSTREAM
        cache
    }}""",
    "rewrite of options": f""". {{
        rewrite edns0 local set 0xfde9 {{client_ip}}
        {KUBERNETES} {{
            fallthrough
        }}
        forward . UPSTREAM
    }}""",
    "template": """. {
        metadata
        template IN A who.template.test {
            answer "{{ .Name }} 30 IN A 192.0.2.90"
            additional "{{ .Name }} 30 IN TXT {{ .Remote }}"
        }
        template IN TXT template.test {
            answer "{{ .Name }} 30 IN TXT {{ .Meta \\"kubernetes/client-namespace\\" }}-{{ .Message.Id }}"
        }
        template ANY ANY nothing.example {
            rcode NXDOMAIN
        }
        template IN A ns.shop.svc.cluster.local {
            answer "{{ .Name }} 30 IN CNAME web.shop.svc.cluster.local."
            fallthrough
        }
        template IN ANY lan {
            match "^(?P<h>[a-z-]+)[.]lan[.]$"
            answer "{{ .Name }} 30 IN CNAME {{ .Group.h }}.zone.test."
            fallthrough
        }
        kubernetes cluster.local {
            pods verified
            fallthrough
        }
        hosts FOLDER/hosts {
            fallthrough
        }
        file FOLDER/zone zone.test
        forward . UPSTREAM
    }""",
    "template of the client": """. {
        template IN TXT {
            match .*
            answer "{{ .Name }} 30 IN TXT {{ index . `Remote` }}"
        }
        template IN A {
            match .*
            expr type() == 'A' && size() > 40
            answer "{{ .Name }} 30 IN A 192.0.2.90"
            fallthrough
        }
        whoami
    }""",
    "dns64": f""". {{
        dns64 {{
            translate_all
        }}
        local
        any
        {KUBERNETES} {{
            fallthrough
        }}
        forward . UPSTREAM
        cache 30
    }}""",
    "no_aaaa": f""". {{
        no_aaaa up.test shop.svc.cluster.local
        nsid here
        chaos 1 me
        {KUBERNETES} {{
            fallthrough
        }}
        forward . UPSTREAM
    }}""",
    "k8s_external": f""". {{
        k8s_external example.org {{
            headless
            external_names
            nodeports
            fallthrough
        }}
        {KUBERNETES}
        forward up.test UPSTREAM
    }}""",
    "weighted": f""". {{
        loadbalance weighted FOLDER/weights
        {KUBERNETES} {{
            fallthrough
        }}
        forward . UPSTREAM
        cache 30
    }}""",
    "prefer": f""". {{
        loadbalance round_robin {{
            prefer 10.2.0.16/28 192.0.2.0/27
        }}
        {KUBERNETES} {{
            fallthrough
        }}
        forward . UPSTREAM
    }}""",
    "fault": f""". {{
        fault fault.test {{
            rcode SERVFAIL
        }}
        explain any
        errors {{
            consolidate 1m ".*"
        }}
        {KUBERNETES}
        whoami
    }}""",
    "views": f"""
    . {{
        view v4 {{
            expr incidr(client_ip(), '192.0.2.0/24')
        }}
        {KUBERNETES}
    }}
    svc.cluster.local {{
        view tcp {{
            expr proto() == 'tcp' && type() == 'A'
        }}
        whoami
    }}
    shop.svc.cluster.local {{
        view large {{
            expr bufsize() > 1232
            expr name() startsWith 'w'
        }}
        hosts FOLDER/hosts
    }}
    local {{
        view m {{
            expr name() startsWith 'm'
        }}
        whoami
    }}
    . {{
        hosts FOLDER/hosts {{
            fallthrough
        }}
        {KUBERNETES}
    }}""",
    "views of names": f"""
    shop.svc.cluster.local {{
        view w {{
            expr name() contains 'w' || type() == 'SRV' || class() == 'CH'
        }}
        hosts FOLDER/hosts {{
            fallthrough
        }}
        whoami
    }}
    cluster.local {{
        {KUBERNETES}
    }}
    up.test {{
        forward . UPSTREAM
        cache 30
    }}""",
    "blocks": f"""
    . {{
        bind 127.0.0.1
        forward . UPSTREAM
        cache 2
    }}
    cluster.local {{
        bind 127.0.0.1
        {KUBERNETES}
    }}
    cluster.local {{
        bind 127.0.0.2
        whoami
    }}
    db.store.svc.cluster.local {{
        bind 127.0.0.1
        hosts FOLDER/hosts
    }}
    zone.test lan {{
        bind 127.0.0.1
        file FOLDER/zone zone.test
        hosts FOLDER/hosts
    }}
    up.test {{
        bind 127.0.0.1
        proxy . UPSTREAM
    }}""",
    "third party": f""". {{
        hello hello.example.org "good morning"
        {KUBERNETES} {{
            fallthrough
        }}
        forward . UPSTREAM
    }}""",
    "ignored": f""". {{
        trace
        dnstap /none
        pprof
        cancel
        shed
        timeouts
        multisocket
        geoip /none
        tls FOLDER/certificate FOLDER/key
        {KUBERNETES}
    }}""",
}

EXCEPTIONS: Final[dict[str, str]] = {}
"""Directives without a Corefile, and why."""
