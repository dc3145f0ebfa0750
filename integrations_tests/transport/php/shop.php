<?php
// A SOAP service by PHP's own extension: RPC and encoded, where objects that are said twice are referred to.
class Shop
{
    private bool $known = false;

    // The header block of WS-Security; the extension calls it by its name.
    public function Security($security): void
    {
        $token = $security->UsernameToken;
        $nonce = isset($token->Nonce) ? base64_decode($token->Nonce) : '';
        $proof = $nonce === ''
            ? 'geheim & veilig'
            : base64_encode(sha1($nonce . $token->Created . 'geheim & veilig', true));
        if ($token->Username !== 'zoë' || $token->Password !== $proof) {
            throw new SoapFault('FailedAuthentication', 'The token was not believed');
        }
        $this->known = true;
    }

    public function getItems($count)
    {
        if (!$this->known) {
            throw new SoapFault('Client', 'Who are you?');
        }
        if ($count < 0) {
            throw new SoapFault('Server', 'Busy', null, ['Busy' => ['seconds' => 7]]);
        }
        $makers = [];
        foreach (['Kwekerij Één', 'Tuin <2>'] as $name) {
            $maker = new stdClass();
            $maker->name = $name;
            $maker->places = ['Naaldwijk', 'Aalsmeer'];
            $makers[] = $maker;
        }
        $items = [];
        for ($n = 0; $n < $count; $n++) {
            $item = new stdClass();
            $item->sku = "s$n";
            $item->price = $n % 3 ? '1.10' : null;
            $item->maker = $makers[$n % 2];
            $items[] = $item;
        }
        return $items;
    }
}

$server = new SoapServer(__DIR__ . '/shop.wsdl', ['cache_wsdl' => WSDL_CACHE_NONE]);
$server->setObject(new Shop());
$server->handle();
